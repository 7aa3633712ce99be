"""What the demo counts and shows."""

from io import StringIO

import pytest
from rich.console import Console

from benchmarks.demo.report import report
from benchmarks.demo.tally import Activity, Rate, Request, Tally, percentile
from benchmarks.demo.view import View, sparkline
from benchmarks.demo.watch import Replica, figures

EXPOSED = """\
# TYPE inference_gateway_requests_total counter
inference_gateway_requests_total{method="Chat",replica="replica-1",status="OK"} 7.0
inference_gateway_requests_total{method="Generate",replica="replica-1",status="OK"} 2.0
inference_gateway_requests_total{method="Chat",replica="replica-1",status="UNAVAILABLE"} 3.0
inference_gateway_requests_total{method="Chat",replica="",status="UNAVAILABLE"} 1.0
# TYPE inference_gateway_messages_total counter
inference_gateway_messages_total{replica="replica-1"} 90.0
# TYPE inference_gateway_time_to_first_token_seconds histogram
inference_gateway_time_to_first_token_seconds_bucket{le="+Inf",replica="replica-1"} 4.0
inference_gateway_time_to_first_token_seconds_sum{replica="replica-1"} 2.0
inference_gateway_time_to_first_token_seconds_count{replica="replica-1"} 4.0
"""


class FakeWatch:
    def __init__(self) -> None:
        self.replicas = {"replica-1": Replica("replica-1", "ready", in_flight=3, answered=9)}


def shown(renderable: object) -> str:
    console = Console(file=StringIO(), width=100)
    console.print(renderable)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_an_attempt_that_failed_counts_for_its_time_only() -> None:
    request = Request(begun_at=10.0)
    request.received(1, 10.5)
    request.received(0, 10.6)
    request.again()
    request.received(1, 12.0)
    request.received(2, 12.5)
    assert (request.tokens, request.retries) == (3, 1)
    assert request.ttft_s == 2.0
    assert request.tpot_s == 0.25


@pytest.mark.parametrize(("percent", "value"), [(50, 50.0), (99, 99.0)])
def test_percentiles_of_a_hundred_and_one_values(percent: int, value: float) -> None:
    assert percentile([float(number) for number in range(101)], percent) == value


def test_percentiles_of_too_few_values() -> None:
    assert percentile([3.0], 99) == 3.0
    assert str(percentile([], 50)) == "nan"


def test_a_rate_is_that_of_the_last_moments() -> None:
    rate = Rate(window_s=1.0)
    assert rate.add(0, 0.0) == 0.0
    assert rate.add(10, 0.5) == 20.0
    assert rate.add(10, 1.5) == 0.0
    assert rate.add(40, 3.5) == 15.0


def test_figures_are_told_apart_by_replica_and_status() -> None:
    found = figures(EXPOSED)
    assert (found.answered["replica-1"], found.broken["replica-1"]) == (9, 3)
    assert found.messages["replica-1"] == 90
    assert found.first_token_s == {"replica-1": 0.5}
    assert found.inter_token_s == {}


def test_a_curve_is_scaled_to_its_highest_value() -> None:
    assert sparkline([0, 5, 10]) == "▁▅█"
    assert sparkline([0, 0]) == ""


def test_the_picture_and_the_line_show_the_same() -> None:
    tally = Tally(planned=4, activities=[Activity.DONE, Activity.STREAMING], done=[Request(0.0)], retries=2)
    view = View("title", tally, FakeWatch(), clock=lambda: 1.5)
    view.note("replica-1 killed", "red")
    picture, line = shown(view.picture()), view.line()
    for what in ("1 of 4", "2 whole requests begun again, 0 failed", "streaming 1", "● ready", "replica-1 killed"):
        assert what in picture
    assert "1/4 requests" in line
    assert "replica-1 ready 3" in line


def test_the_report_tells_failures_and_lives() -> None:
    done = [Request(0.0, first_token_at=0.1, last_token_at=1.0, tokens=10) for _ in range(2)]
    done.append(Request(0.0, retries=1, first_token_at=2.0, last_token_at=3.0, tokens=11))
    tally = Tally(planned=4, activities=[], done=done, failures=["why"], tokens=40)
    printed = shown(report(tally, FakeWatch().replicas.values(), 2.0, {"replica-1": 2}))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    assert ["requests", "3 of 4", "", ""] in rows
    assert ["failures", "1", "", ""] in rows
    assert ["tokens lost with failed attempts", "9", "", ""] in rows
    assert ["time to first token, ms", "", "100", "100"] in rows
    assert ["replica-1", "ready", "9", "0", "0", "0", "0.0", "2"] in rows
