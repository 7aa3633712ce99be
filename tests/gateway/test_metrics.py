import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import metrics
from gateway.metrics import Family, Kind, ProcessMetrics, Registry, Sample, lasting, merge

BOUNDS = (1.0, 2.0)


def filled(counts: list[tuple[str, int]]) -> Registry:
    registry = Registry()
    total = registry.counter("things_total", "Things.", "replica")
    held = registry.gauge("held", "Held.", "replica")
    taken = registry.histogram("taken_s", "Time.", BOUNDS, "replica")
    for replica, n in counts:
        total.child(replica).add(n)
        held.child(replica).add(n)
        taken.child(replica).observe(n)
    return registry


def value(families: list[Family], name: str, *labels: str) -> list[float]:
    (family,) = (family for family in families if family.name == name)
    (sample,) = (sample for sample in family.samples if sample.labels == labels)
    return sample.values


def test_an_observation_falls_into_the_bucket_whose_bound_it_does_not_exceed() -> None:
    histogram = Registry().histogram("h", "", BOUNDS).child()
    for seconds in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.observe(seconds)
    assert histogram.values == [2, 2, 1, 7.5]


def test_a_dump_is_a_copy() -> None:
    registry = filled([("a", 1)])
    before = registry.dump()
    registry.dump()[0].samples[0].values[0] = 100
    assert registry.dump() == before


def test_families_without_values_are_left_out() -> None:
    assert filled([]).dump() == []


def test_a_dump_survives_the_channel() -> None:
    families = filled([("a", 1), ("b", 3)]).dump()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(families), type=list[Family]) == families


COUNTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=6)


@given(st.lists(COUNTS, max_size=4))
def test_merging_processes_gives_what_one_process_would_have_counted(processes: list[list[tuple[str, int]]]) -> None:
    dumps = [filled(counts).dump() for counts in processes]
    together = filled([one for counts in processes for one in counts]).dump()
    assert ordered(merge(dumps)) == ordered(together)


def ordered(families: list[Family]) -> list[Family]:
    return [
        Family(f.name, f.kind, f.help, f.label_names, f.bounds, sorted(f.samples, key=lambda sample: sample.labels))
        for f in sorted(families, key=lambda family: family.name)
    ]


def test_merging_leaves_its_arguments_as_they_are() -> None:
    one, other = filled([("a", 1)]).dump(), filled([("a", 2)]).dump()
    merged = merge([one, other])
    merged[0].samples[0].values[0] = 100
    assert (value(one, "things_total", "a"), value(other, "things_total", "a")) == ([1], [2])


def test_a_dead_process_leaves_its_counters_and_not_its_gauges() -> None:
    assert {family.kind for family in lasting(filled([("a", 1)]).dump())} == {Kind.COUNTER, Kind.HISTOGRAM}


def test_label_values_beyond_the_bound_are_counted_as_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CHILDREN_MAX", 2)
    families = filled([(name, 1) for name in "abcd"]).dump()
    assert value(families, "things_total", "a") == [1]
    assert value(families, "things_total", "other") == [2]


def test_a_removed_gauge_is_gone_until_it_is_used_again() -> None:
    registry = Registry()
    held = registry.gauge("held", "", "replica")
    held.child("a").set(3)
    held.remove("a")
    held.remove("never there")
    assert registry.dump() == []
    held.child("a").add(1)
    assert registry.dump()[0].samples == [Sample(("a",), [1])]


def test_a_process_reports_its_cpu_memory_and_descriptors() -> None:
    registry = Registry()
    process = ProcessMetrics(registry, "worker-0")
    process.update()
    families = registry.dump()
    assert value(families, "inference_gateway_process_cpu_seconds_total", "worker-0")[0] > 0
    assert value(families, "inference_gateway_process_resident_bytes", "worker-0")[0] > 2**20
    assert value(families, "inference_gateway_process_open_descriptors", "worker-0")[0] >= 3
