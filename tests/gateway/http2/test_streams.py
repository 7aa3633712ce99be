from hypothesis import given
from hypothesis import strategies as st

from gateway.http2.streams import TRANSITIONS, Event, ResetStreams, State, Verdict

RECEIVED = [event for event in Event if event.name.startswith("RECEIVE")]
SENT = [event for event in Event if event.name.startswith("SEND")]


def test_every_state_knows_what_every_event_means() -> None:
    assert TRANSITIONS.keys() == set(State)
    assert all(row.keys() == set(Event) for row in TRANSITIONS.values())


def test_only_what_we_send_can_be_a_defect() -> None:
    for row in TRANSITIONS.values():
        assert all(row[event] is not Verdict.DEFECT for event in RECEIVED)
        assert all(row[event] is Verdict.DEFECT for event in SENT if isinstance(row[event], Verdict))


def test_a_closed_stream_stays_closed() -> None:
    for state in (State.CLOSED, State.RESET):
        assert all(isinstance(outcome, Verdict) for outcome in TRANSITIONS[state].values())


def test_every_open_stream_can_be_reset_by_either_side() -> None:
    for state in (State.OPEN, State.HALF_CLOSED_LOCAL, State.HALF_CLOSED_REMOTE):
        assert TRANSITIONS[state][Event.RECEIVE_RESET] is State.CLOSED
        assert TRANSITIONS[state][Event.SEND_RESET] is State.RESET


def test_a_stream_is_closed_when_both_sides_have_ended_in_either_order() -> None:
    for first, second in ((Event.RECEIVE_END, Event.SEND_END), (Event.SEND_END, Event.RECEIVE_END)):
        half = TRANSITIONS[State.OPEN][first]
        assert isinstance(half, State)
        assert TRANSITIONS[half][second] is State.CLOSED


@given(st.lists(st.integers(1, 60), unique=True, max_size=40), st.integers(1, 10))
def test_no_reset_is_ever_forgotten_though_few_are_remembered(ids: list[int], capacity: int) -> None:
    resets = ResetStreams(capacity)
    for stream_id in ids:
        resets.add(stream_id)
    assert all(stream_id in resets for stream_id in ids)


def test_until_one_is_forgotten_the_others_are_not_taken_for_reset() -> None:
    resets = ResetStreams(3)
    for stream_id in (5, 3, 9):
        resets.add(stream_id)
    assert [stream_id in resets for stream_id in (1, 3, 5, 7, 9, 11)] == [False, True, True, False, True, False]
    resets.add(11)
    assert [stream_id in resets for stream_id in (1, 3, 5, 7, 9, 11)] == [True, True, True, False, True, True]
