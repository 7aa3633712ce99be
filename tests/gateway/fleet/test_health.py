from collections import deque

import pytest

from gateway.fleet.health import TABLE, Event, transition
from gateway.types import ReplicaState

STARTING, READY, SUSPECT, EJECTED, PROBATION, DRAINING, GONE = ReplicaState
WATCHED = (Event.CONNECTED, Event.CONNECTION_LOST, Event.SERVING, Event.NOT_SERVING, Event.NEW_INCARNATION)
"""What Watch and connections say of a replica that stays in the fleet."""


def after(state: ReplicaState, *events: Event) -> ReplicaState:
    for event in events:
        state = transition(state, event)
    return state


def reachable_from(state: ReplicaState, events: tuple[Event, ...] = tuple(Event)) -> set[ReplicaState]:
    seen, ahead = {state}, deque([state])
    while ahead:
        here = ahead.popleft()
        new = {transition(here, event) for event in events} - seen
        seen |= new
        ahead.extend(new)
    return seen


def test_has_an_entry_for_every_event_and_state() -> None:
    assert set(TABLE) == set(Event)
    assert {len(cells) for cells in TABLE.values()} == {len(ReplicaState)}
    assert [transition(state, event) for state in ReplicaState for event in Event]


def test_columns_are_in_the_order_of_the_states() -> None:
    assert list(ReplicaState) == list(range(1, len(ReplicaState) + 1))


def test_a_new_replica_can_come_into_every_state() -> None:
    assert reachable_from(STARTING) == set(ReplicaState)


@pytest.mark.parametrize("state", [state for state in ReplicaState if state is not GONE])
def test_no_state_is_terminal_but_gone(state: ReplicaState) -> None:
    assert READY in reachable_from(state)


def test_gone_is_the_end() -> None:
    assert reachable_from(GONE) == {GONE}


@pytest.mark.parametrize("state", [state for state in ReplicaState if state is not GONE])
def test_a_restarted_replica_is_ready_once_it_says_so_whatever_it_was(state: ReplicaState) -> None:
    assert after(state, Event.NEW_INCARNATION, Event.CONNECTED) is STARTING
    assert after(state, Event.NEW_INCARNATION, Event.CONNECTED, Event.SERVING) is READY


@pytest.mark.parametrize("state", [state for state in ReplicaState if state is not GONE])
def test_one_that_says_not_serving_is_never_to_be_used(state: ReplicaState) -> None:
    later = reachable_from(transition(state, Event.NOT_SERVING), tuple(set(Event) - {Event.SERVING}))
    assert later <= {STARTING, DRAINING, GONE}


def test_watch_and_connections_alone_lead_into_and_out_of_readiness() -> None:
    assert reachable_from(STARTING, WATCHED) == {STARTING, READY, SUSPECT, DRAINING}


def test_a_drained_replica_returns() -> None:
    assert after(READY, Event.NOT_SERVING, Event.CONNECTION_LOST, Event.CONNECTED) is DRAINING
    assert after(READY, Event.NOT_SERVING, Event.SERVING) is READY


def test_a_lost_connection_is_suspect_until_the_new_one_says_serving() -> None:
    assert after(READY, Event.CONNECTION_LOST) is SUSPECT
    assert after(READY, Event.CONNECTION_LOST, Event.CONNECTED) is STARTING
    assert after(READY, Event.CONNECTION_LOST, Event.CONNECTED, Event.SERVING) is READY


def test_a_stalled_replica_is_ready_again_by_progress_and_not_by_words() -> None:
    assert after(READY, Event.PROGRESS_STALLED, Event.SERVING) is SUSPECT
    assert after(READY, Event.PROGRESS_STALLED, Event.PROGRESSED) is READY


def test_an_ejected_replica_returns_by_probation_alone() -> None:
    others = set(Event) - {Event.EJECTION_ENDED, Event.NOT_SERVING, Event.NEW_INCARNATION, Event.REMOVED}
    assert reachable_from(EJECTED, tuple(others)) == {EJECTED}
    assert after(EJECTED, Event.EJECTION_ENDED) is PROBATION
    assert after(EJECTED, Event.EJECTION_ENDED, Event.PROBE_SUCCEEDED) is READY
    for failure in (Event.PROBE_FAILED, Event.FAILURES_EXCEEDED, Event.PROGRESS_STALLED, Event.CONNECTION_LOST):
        assert after(EJECTED, Event.EJECTION_ENDED, failure) is EJECTED
