"""What a worker tells control of its attempts: outcomes from plain leases, progress over real streams in memory."""

import base64
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport

from gateway.channel.messages import Awaited, Outcome, OutcomeKind, Outcomes, Progress
from gateway.fleet.leases import Lease
from gateway.relay.witness import Witness
from gateway.rpc.reports import Reports
from tests.gateway.fleets import Deciding, facts, row
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import OPAQUE, Recorded, World, record, token

ANSWERED, FAILED, LOST = OutcomeKind.ANSWERED, OutcomeKind.FAILED, OutcomeKind.CONNECTION_LOST


@dataclass(eq=False)
class Due:
    delay_s: float
    callback: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class Telling:
    """A witness, what it has told, and when it means to tell more."""

    deciding: Deciding = field(default_factory=lambda: Deciding(row("a"), row("b")))
    told: list[Outcomes | Progress] = field(default_factory=list[Outcomes | Progress])
    timers: list[Due] = field(default_factory=list[Due])

    def __post_init__(self) -> None:
        self.witness = Witness(self.told.append, self._call_later, self.deciding.fleet, self.deciding.counters)

    def lease(self, replica_id: str = "a") -> Lease:
        (view,) = [view for view in self.deciding.fleet.views(facts()) if view.id == replica_id]
        return self.deciding.ledger.grant(view, facts(prompt_tokens=10), "a:1", 0.0)

    def due_s(self) -> list[float]:
        return [timer.delay_s for timer in self.timers if not timer.is_cancelled]

    def pass_time(self) -> None:
        timers, self.timers = self.timers, []
        for timer in timers:
            if not timer.is_cancelled:
                timer.callback()

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> Due:
        self.timers.append(Due(delay_s, callback))
        return self.timers[-1]


def test_failures_are_told_at_once_and_what_went_well_a_little_later_and_together() -> None:
    telling = Telling()
    telling.witness.ended(telling.lease(), ANSWERED)
    telling.witness.ended(telling.lease("b"), ANSWERED)
    assert len(telling.due_s()) == 1
    assert telling.due_s()[0] > 0
    telling.witness.ended(telling.lease(), FAILED)
    telling.witness.ended(telling.lease(), ANSWERED)
    assert telling.due_s() == [0.0]
    telling.pass_time()
    outcomes = [
        Outcome("a", 1, ANSWERED),
        Outcome("a", 1, FAILED),
        Outcome("b", 1, ANSWERED),
        Outcome("a", 1, ANSWERED),
    ]
    assert telling.told == [Outcomes(outcomes)]
    assert telling.due_s() == []
    telling.witness.ended(telling.lease(), ANSWERED)
    telling.pass_time()
    assert telling.told[1:] == [Outcomes([Outcome("a", 1, ANSWERED)])]


@pytest.mark.parametrize(("kind", "times"), [(LOST, 1), (OutcomeKind.CONNECT_FAILED, 1), (FAILED, 3)])
def test_what_happens_to_a_connection_is_one_event_however_many_attempts_it_ends(kind: OutcomeKind, times: int) -> None:
    telling = Telling()
    for _ in range(3):
        telling.witness.ended(telling.lease(), kind)
    telling.witness.ended(telling.lease("b"), kind)
    telling.pass_time()
    assert telling.told == [Outcomes([*[Outcome("a", 1, kind)] * times, Outcome("b", 1, kind)])]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([ANSWERED, FAILED])), max_size=30))
def test_answers_in_a_row_are_told_as_one_and_each_replica_s_order_is_kept(
    ended: list[tuple[str, OutcomeKind]],
) -> None:
    telling = Telling()
    for replica_id, kind in ended:
        telling.witness.ended(telling.lease(replica_id), kind)
    telling.pass_time()
    told = [outcome for message in telling.told if isinstance(message, Outcomes) for outcome in message.outcomes]
    for replica_id in "ab":
        rows = [(outcome.kind, outcome.count) for outcome in told if outcome.replica_id == replica_id]
        assert [kind for kind, count in rows for _ in range(count)] == [
            kind for each, kind in ended if each == replica_id
        ]
        assert (ANSWERED, ANSWERED) not in pairwise(kind for kind, _ in rows)


def test_an_attempt_of_controls_tells_nothing() -> None:
    telling = Telling()
    telling.witness.ended(None, FAILED)
    telling.witness.reported(None, b"whatever", Reports(), 1.0)
    assert telling.due_s() == []


def test_a_report_in_a_trailer_reaches_the_views_and_a_malformed_one_the_log_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    telling = Telling()
    report = OrcaLoadReport(named_metrics={"queue_depth": 3, "running_requests": 1})
    telling.witness.reported(telling.lease(), base64.b64encode(report.SerializeToString()), Reports(), 7.0)
    load = next(view.load for view in telling.deciding.fleet.views(facts()) if view.id == "a")
    assert load is not None
    assert (load.queue_depth, load.received_at) == (3, 7.0)
    telling.witness.reported(telling.lease(), b"\xff\xff", Reports(), 8.0)
    assert "event=load_report_malformed replica=a" in caplog.text
    assert next(view.load for view in telling.deciding.fleet.views(facts()) if view.id == "a") == load


@pytest.fixture
async def alone() -> AsyncIterator[World]:
    """With one replica, r0."""
    async with a_world(replicas=1) as made:
        yield made


async def asked(world: World, count: int = 1) -> list[Recorded]:
    """Return what the only replica has seen of an agent's streams."""
    agent = world.agent()
    for _ in range(count):
        agent.call()
    await world.settle()
    return world.requests("r0")[-count:]


def progress(world: World) -> list[Awaited]:
    """Return what it tells now."""
    world.told.clear()
    world.witness.tell_progress()
    return [awaited for told in world.told if isinstance(told, Progress) for awaited in told.awaited]


@pytest.mark.anyio
async def test_owing_begins_with_the_first_stream_and_ends_with_the_last(alone: World) -> None:
    assert progress(alone) == []
    begun_at = alone.now_s
    (first,) = await asked(alone)
    alone.now_s += 5
    (second,) = await asked(alone)
    prefill_tokens = sum(lease for _, lease in alone.ledger.held().values())
    assert progress(alone) == [Awaited("r0", 1, begun_at, 0.0, prefill_tokens)]
    for request in (first, second):
        assert len(progress(alone)) == 1
        request.end((b":status", b"200"), (b"grpc-status", b"0"))
        await alone.settle()
    assert progress(alone) == []
    alone.now_s += 5
    await asked(alone)
    assert [awaited.since for awaited in progress(alone)] == [alone.now_s], "what was owed before is forgotten"


@pytest.mark.anyio
async def test_what_is_heard_on_one_stream_speaks_for_the_replica(alone: World) -> None:
    talking, _ = await asked(alone, 2)
    alone.now_s += 3
    talking.headers()
    talking.send(token("a"))
    await alone.settle()
    heard_at = alone.now_s
    alone.now_s += 3
    assert [awaited.heard_at for awaited in progress(alone)] == [heard_at]
    talking.end()
    await alone.settle()
    assert [awaited.heard_at for awaited in progress(alone)] == [heard_at], "it has ended since"


@pytest.mark.anyio
async def test_a_new_life_owes_nothing_for_the_old_one(alone: World) -> None:
    await asked(alone)
    alone.apply(record("r0", incarnation=2))
    assert [(awaited.replica_id, awaited.incarnation) for awaited in progress(alone)] == [("r0", 1)]
    await asked(alone)
    assert sorted(awaited.incarnation for awaited in progress(alone)) == [1, 2]


@pytest.mark.anyio
async def test_an_opaque_service_owes_nothing_and_neither_does_one_whose_agent_does_not_read(alone: World) -> None:
    agent = alone.agent()
    agent.call(OPAQUE, b"x")
    await alone.settle()
    assert progress(alone) == []
    slow = agent.call()
    slow.credits = False
    await alone.settle()
    seen = alone.requests("r0")[-1]
    seen.headers()
    for _ in range(600):
        seen.send(token("x" * 1_000))
    await alone.settle()
    assert progress(alone) == []


@pytest.mark.anyio
async def test_the_log_names_each_attempt_where_it_is_asked_to(alone: World, caplog: pytest.LogCaptureFixture) -> None:
    await asked(alone)
    assert "event=attempt" not in caplog.text
    caplog.set_level(logging.DEBUG, logger="gateway.relay.witness")
    await asked(alone)
    assert "event=attempt replica=r0 incarnation=1" in caplog.text
