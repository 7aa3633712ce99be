"""Reports that are read by their layout, beside protobuf."""

import random
from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport

from gateway.rpc.metadata import encode_binary
from gateway.rpc.orca import PLACES, load_of, parse_numbers, usage_of
from gateway.rpc.report_layout import layout_of
from gateway.rpc.reports import Reports
from gateway.types import LoadReport, Usage

NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from((0.0, -0.0, 1.0, 250.0))
NAMES = st.sampled_from([name for (_, name), _ in PLACES if name]) | st.text(max_size=140)
MAPS = st.dictionaries(NAMES, NUMBERS, max_size=6)
RATES = st.dictionaries(
    st.sampled_from(("cpu_utilization", "mem_utilization", "rps_fractional", "eps", "application_utilization")), NUMBERS
)


def serialized(
    rates: dict[str, float], named: dict[str, float], cost: dict[str, float], other: dict[str, float], rps: int = 0
) -> bytes:
    report = OrcaLoadReport(**rates, named_metrics=named, request_cost=cost, utilization=other, rps=rps)
    return report.SerializeToString(deterministic=True)


def by_protobuf(report: bytes) -> tuple[LoadReport, Usage | None] | None:
    try:
        numbers = parse_numbers(report)
        return load_of(numbers, 1.0), usage_of(numbers)
    except ValueError:
        return None


def by(reports: Reports, report: bytes) -> tuple[LoadReport, Usage | None] | None:
    try:
        return reports.read(encode_binary(report), 1.0)
    except ValueError:
        return None


@given(RATES, MAPS, MAPS, MAPS, st.sampled_from((0, 0, 7)), st.data())
def test_a_report_says_the_same_by_its_layout_as_by_protobuf(
    rates: dict[str, float],
    named: dict[str, float],
    cost: dict[str, float],
    other: dict[str, float],
    rps: int,
    data: st.DataObject,
) -> None:
    reports = Reports()
    for _ in range(3):
        report = serialized(rates, named, cost, other, rps)
        assert repr(by(reports, report)) == repr(by_protobuf(report))
        for numbers in (rates, named, cost, other):
            for name in numbers:
                numbers[name] = data.draw(NUMBERS)


@given(MAPS, st.binary(max_size=3), st.integers(0, 200))
def test_bytes_that_changed_anywhere_are_read_as_protobuf_reads_them(
    named: dict[str, float], change: bytes, at: int
) -> None:
    reports = Reports()
    report = serialized({"eps": 1.0}, named, {"prompt_tokens": 3.0}, {})
    by(reports, report)
    changed = report[:at] + change + report[at + len(change) :]
    assert repr(by(reports, changed)) == repr(by_protobuf(changed))


def test_what_has_been_met_is_read_without_protobuf() -> None:
    reports = Reports()
    report = serialized({"eps": 1.0}, {"queue_depth": 3.0, "other": 1.0}, {"prompt_tokens": 3.0}, {})
    layout = layout_of(report)
    assert layout is not None
    assert layout.read(report) == parse_numbers(report)
    again = serialized({"eps": 2.0}, {"queue_depth": 9.0, "other": 7.0}, {"prompt_tokens": 4.0}, {})
    assert layout.read(again) == parse_numbers(again)
    assert layout.read(serialized({"eps": 2.0}, {"queue_depth": nan, "other": 7.0}, {"prompt_tokens": inf}, {})) is None
    assert by(reports, report) == by_protobuf(report)


def test_one_that_shuffles_its_names_is_read_all_the_same() -> None:
    reports = Reports()
    names = [name for (_, name), _ in PLACES if name]
    rng = random.Random(7)
    for _ in range(200):
        rng.shuffle(names)
        entries = [OrcaLoadReport(named_metrics={name: rng.random()}).SerializeToString() for name in names]
        assert by(reports, b"".join(entries)) == by_protobuf(b"".join(entries))
