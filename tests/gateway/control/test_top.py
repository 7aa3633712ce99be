import io
from itertools import islice

import pytest
from rich.console import Console

from gateway.control.top import Look, looks, quantile, screen
from inference.v1 import admin_pb2 as pb

BOUNDS_S = (0.1, 0.25, 1.0)


def look(at_s: float, requests: int, failed: int, messages: int, *counts: int) -> Look:
    activity = pb.GetActivityResponse(
        at_s=at_s,
        policy="power_of_two",
        requests_ended=requests,
        requests_failed=failed,
        messages=messages,
        streams_open=12,
        requests_parked=3,
        time_to_first_token=pb.Histogram(bounds_s=BOUNDS_S, counts=counts),
        settings_refused=True,
        replicas=[pb.ReplicaActivity(id="vllm-1", messages=messages)],
    )
    replicas = [
        pb.Replica(
            id="vllm-1",
            state=pb.REPLICA_STATE_READY,
            weight=1,
            requests_in_flight=12,
            load=pb.LoadReport(queue_depth=2, running_requests=10, kv_cache_utilization=0.42),
        ),
        pb.Replica(id="vllm-2", state=pb.REPLICA_STATE_DRAINING, weight=0.5, reason="drained by an operator"),
    ]
    return Look(activity, pb.ListReplicasResponse(replicas=replicas))


def shown(before: Look, now: Look) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(screen(before, now))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_shows_what_happened_between_two_looks() -> None:
    text = shown(look(10.0, 100, 0, 1_000, 50, 50, 0, 0), look(12.0, 140, 2, 5_000, 60, 78, 2, 0))
    words = " ".join(text.split())
    assert "1 of 2 replicas ready policy power_of_two the settings last asked for were refused" in words
    assert "requests/s 20.0 failed/s 1.0 messages/s 2000 in flight 12 waiting 3" in words
    assert "first token p50 ≤ 250 ms p95 ≤ 250 ms" in words
    assert "vllm-1 ready 1 2000 12 ████████ 2 10 42%" in words
    assert "vllm-2 draining 0.5 0 0 - - -" in words
    assert "vllm-2 is draining: drained by an operator" in words


def test_at_first_and_without_requests_there_is_nothing_to_say() -> None:
    first = look(10.0, 100, 0, 1_000, 50, 50, 0, 0)
    assert "requests/s 0.0" in " ".join(shown(first, first).split())
    assert "p50 -" in " ".join(shown(first, first).split())


@pytest.mark.parametrize(
    ("counts", "share", "bound"),
    [((1, 0, 0, 0), 0.5, 0.1), ((1, 1, 0, 0), 0.95, 0.25), ((0, 0, 0, 5), 0.5, None), ((), 0.5, None)],
)
def test_a_quantile_is_the_bound_of_its_bucket(counts: tuple[int, ...], share: float, bound: float | None) -> None:
    assert quantile(BOUNDS_S, counts, share) == bound


def test_it_looks_as_often_as_asked_or_without_end() -> None:
    assert len(list(looks(2))) == 2
    assert len(list(islice(looks(0), 1_000))) == 1_000
