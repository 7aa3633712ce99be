"""What a run counts and shows; the run itself is `make churn`."""

from collections import Counter
from io import StringIO

import grpc
import grpc.aio
import pytest
from rich.console import Console

from benchmarks.churn.report import report
from benchmarks.churn.run import ChurnTally, Result
from benchmarks.churn.verdict import Verdict
from benchmarks.soak.agents import Stream
from inference.v1 import inference_pb2 as pb


def error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "gone")


def test_what_failed_before_its_first_token_is_kept_apart() -> None:
    tally = ChurnTally()
    begun = Stream(5.0, [pb.GenerateResponse()])
    tally.failed(error(grpc.StatusCode.UNAVAILABLE), begun)
    tally.failed(error(grpc.StatusCode.INTERNAL), begun)
    assert (tally.lost, tally.wrong) == ({"UNAVAILABLE: gone": 1}, {"INTERNAL: gone": 1})
    for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        tally.failed(error(code), Stream(7.0))
    assert [(failure.begun_at, failure.how) for failure in tally.failures] == [
        (7.0, "UNAVAILABLE: gone"),
        (7.0, "DEADLINE_EXCEEDED: gone"),
    ]
    assert (tally.lost.total(), tally.wrong.total()) == (1, 1)


@pytest.mark.parametrize("wrong", [[], ["a request was sent to r1"]])
def test_the_report_shows_what_was_done_and_how_it_went(wrong: list[str]) -> None:
    tally = ChurnTally(whole=1_234, cancelled=5, lost=Counter(gone=6), connections=7)
    verdict = Verdict(Counter(r1=8_900), Counter(r1=11), excused=12, wrong=wrong)
    written = StringIO()
    result = Result(tally, verdict, Counter(frozen=13), ["slo", "random", "slo"], Counter(ready=14))
    Console(file=written, width=120).print(report(result))
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in written.getvalue().splitlines()]
    for row in (
        ["whole streams", "1,234"],
        ["lost after their first token: UNAVAILABLE", "6"],
        ["failed before it, and no replica was ready", "12"],
        ["episodes", "13 frozen"],
        ["states that replicas came to", "14 ready"],
        ["turns of policies", "3, 2 different"],
        ["promises broken", str(len(wrong))],
        ["r1", "8,900", "11"],
    ):
        assert row in cells
