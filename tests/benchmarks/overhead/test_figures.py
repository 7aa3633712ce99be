"""What is judged, from runs whose outcome is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.overhead.figures import Figures
from benchmarks.overhead.latency import histogram
from benchmarks.overhead.machine import Machine, Memory
from benchmarks.overhead.report import README_MARKS, report, summary
from benchmarks.overhead.results import Idle, Measured, Run
from benchmarks.overhead.targets import targets
from benchmarks.overhead.tasks import Result

MESSAGES = 1_000


def run(cpu_us: Mapping[str, Sequence[float]], latency_us: Mapping[str, int] | None = None) -> Run:
    """Return a run of one shape with the CPU time a message of each peer in each round, and a constant latency."""
    measured = [
        Measured(number, "paced", peer, result(us, (latency_us or {}).get(peer, 100)))
        for peer, rounds in cpu_us.items()
        for number, us in enumerate(rounds)
    ]
    return Run(
        machine=Machine(cpu="a processor", cores=2, kernel="6.1", busy_with_others=0.25),
        began_at="2026-11-22T10:00:00+00:00",
        rounds=3,
        titles={"paced": "paced, 64 streams"},
        units={"paced": "message"},
        missing={"nginx": "not installed here"},
        measured=measured,
        idle=[
            Idle(0, "gateway", {"control": Memory(60_000_000, 0), "worker": Memory(41_000_000, 0)}, 10, 10, 10, 110_000)
        ],
        decision_us=[18.0, 19.0, 25.0],
    )


def result(cpu_us: float, latency_us: int) -> Result:
    return Result(
        wall_s=1.0,
        messages=MESSAGES,
        cpu_s=[cpu_us * MESSAGES / 1e6, 0.001, 0.002],
        latency=histogram([latency_us * 1_000] * MESSAGES),
        due=MESSAGES,
    )


def verdict(of: Run, what: str) -> tuple[str, bool | None]:
    (found,) = [target for target in targets(Figures(of)) if target.what == what]
    return found.measured, found.is_met


def test_ratios_are_taken_within_a_round() -> None:
    figures = Figures(run({"gateway": [10, 20, 40], "Envoy": [20, 40, 40]}))
    ratio = figures.ratio("paced", "gateway", "Envoy")
    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((0.5, 0.5, 1.0))


def test_a_target_is_judged_by_the_median() -> None:
    of = run({"gateway": [30, 11, 10], "Envoy": [10, 10, 10], "grpc.aio": [40, 40, 40]})
    assert verdict(of, "CPU a message, of Envoy's") == ("1.10 (1.00 - 3.00)", False)
    assert verdict(of, "CPU a message of grpc.aio, of the gateway's") == ("3.64 (1.33 - 4.00)", True)
    assert verdict(of, "CPU a message compiled, of HAProxy's") == ("not measured", None)
    assert verdict(of, "RSS a stream") == ("11.0 KB", True)
    assert verdict(of, "RSS of an idle worker") == ("41.0 MB", False)
    assert verdict(of, "a pick and its bookkeeping, 8 replicas") == ("19.0 us", True)


@pytest.mark.parametrize(("gateway_us", "is_met"), [(100, True), (90, True), (200, False)])
def test_latency_is_judged_by_its_interval(gateway_us: int, is_met: bool) -> None:
    of = run({"gateway": [1] * 5, "Envoy": [1] * 5}, {"gateway": gateway_us, "Envoy": 100})
    assert verdict(of, "added p99, above Envoy's")[1] is is_met


def test_a_peer_that_delivers_less_than_was_due_does_not_keep_up() -> None:
    of = run({"gateway": [1]})
    assert Figures(of).keeps_up("paced", "gateway")
    late = Measured(1, "paced", "gateway", Result(latency=histogram([1_000] * 900), due=1_000, cpu_s=[0.0, 0.0, 0.0]))
    assert not Figures(replace(of, measured=[late])).keeps_up("paced", "gateway")


def test_the_report_says_what_is_missing_and_who_else_was_busy() -> None:
    text = report(Figures(run({"direct": [0, 0], "gateway": [10, 11]})))
    assert "- nginx: not installed here" in text
    assert "25% of the machine" in text
    assert "| paced, 64 streams | 10.5 (10.0 - 11.0) |" in text


def test_the_summary_has_medians_of_those_who_took_part(tmp_path: Path) -> None:
    of = run({"gateway": [10, 11, 13], "Envoy": [20, 20, 20]})
    measured = [replace(one, shape="burst-256") for one in of.measured]
    of = replace(of, measured=measured, titles={"burst-256": "burst"}, units={"burst-256": "message"})
    text = summary(Figures(of))
    assert text.splitlines()[2:] == [
        "|  | gateway | Envoy |",
        "| --- | --- | --- |",
        "| a token, us | 11.0 | 20.0 |",
        "| an RPC, us |  |  |",
        "| a waiting stream, KB | 11.0 |  |",
    ]
    readme = tmp_path / "README.md"
    readme.write_text((Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    README_MARKS.write(readme, text)
    assert "| a token, us | 11.0 | 20.0 |" in readme.read_text(encoding="utf-8")
