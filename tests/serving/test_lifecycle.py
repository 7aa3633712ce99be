import asyncio

import pytest

from gateway.rpc.status import Failure, Reason
from serving.lifecycle import NEXT, REFUSALS, Changes, Event, Lifecycle, Phase


def test_every_phase_knows_every_event() -> None:
    assert set(NEXT) == set(REFUSALS) == set(Phase)
    assert all(set(row) == set(Event) for row in NEXT.values())


def test_a_replica_that_left_never_serves_again() -> None:
    left = {Phase.LEAVING, Phase.REFUSING, Phase.DEAD, Phase.CLOSED}
    assert all(NEXT[phase][event] in left for phase in left for event in Event)


def test_serves_between_the_warm_up_and_the_wish_to_stop() -> None:
    lifecycle = Lifecycle(retry_after_s=1.0)
    serving, accepting = [lifecycle.is_serving], [accepts(lifecycle)]
    for event in (Event.WARMED_UP, Event.ASKED_TO_STOP, Event.PAUSE_OVER, Event.FINISHED):
        lifecycle.apply(event)
        serving.append(lifecycle.is_serving)
        accepting.append(accepts(lifecycle))
    assert serving == [False, True, False, False, False]
    assert accepting == [False, True, True, False, False]


def accepts(lifecycle: Lifecycle) -> bool:
    try:
        lifecycle.check_accepts()
    except Failure:
        return False
    return True


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([], Reason.NO_REPLICA_READY),
        ([Event.WARMED_UP, Event.ASKED_TO_STOP, Event.PAUSE_OVER], Reason.DRAINING),
        ([Event.ASKED_TO_STOP], Reason.DRAINING),
        ([Event.WARMED_UP, Event.ENGINE_DIED], Reason.REPLICA_FAILED),
    ],
)
def test_a_refusal_says_why(events: list[Event], reason: Reason) -> None:
    lifecycle = Lifecycle(retry_after_s=1.0)
    for event in events:
        lifecycle.apply(event)
    with pytest.raises(Failure) as refusal:
        lifecycle.check_accepts()
    assert (refusal.value.reason, refusal.value.retry_after_s) == (reason, 1.0)


@pytest.mark.anyio
async def test_a_change_wakes_all_that_wait() -> None:
    changes = Changes()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(changes.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        changes.notify()
    await changes.wait(timeout_s=0.0)
