import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channel.messages import OutcomeKind
from gateway.config import HealthSettings
from gateway.fleet.conduct import Conduct, stall_budget_s
from gateway.fleet.health import Event, transition
from gateway.types import LoadReport, ReplicaState

STARTING, READY, SUSPECT, EJECTED, PROBATION, DRAINING, GONE = ReplicaState
SETTINGS = HealthSettings()
GOOD, BAD = OutcomeKind.ANSWERED, OutcomeKind.FAILED


class Life:
    """A conduct, and an owner that applies all that follows from it."""

    def __init__(self, settings: HealthSettings = SETTINGS) -> None:
        self.now_s = 1_000.0
        self.state = STARTING
        self.conduct = Conduct(settings, self.now_s)
        self.apply(Event.SERVING)

    def apply(self, event: Event | None) -> None:
        if event is not None and (after := transition(self.state, event)) is not self.state:
            self.conduct.entered(self.state, after, event, self.now_s)
            self.state = after

    def ended(self, *kinds: OutcomeKind) -> None:
        for kind in kinds:
            self.apply(self.conduct.ended(kind, self.state, self.now_s))

    def heard(self, at: float | None = None) -> None:
        self.apply(self.conduct.heard(self.now_s if at is None else at, self.state))

    def waited(self, since: float, budget_s: float = 10.0) -> None:
        self.apply(self.conduct.waited(since, budget_s, self.state, self.now_s))

    def after(self, seconds: float) -> ReplicaState:
        self.now_s += seconds
        self.apply(self.conduct.due(self.state, self.now_s))
        return self.state


@pytest.mark.parametrize("kind", [kind for kind in OutcomeKind if kind is not GOOD])
def test_five_failures_in_a_row_eject(kind: OutcomeKind) -> None:
    life = Life()
    life.ended(*[kind] * 4)
    assert life.state is READY
    life.ended(kind)
    assert life.state is EJECTED


def test_an_answer_between_them_begins_the_count_anew() -> None:
    life = Life()
    life.ended(*[BAD] * 4, GOOD, *[BAD] * 4)
    assert life.state is READY


@given(st.lists(st.sampled_from("gbht"), max_size=30))
def test_several_answers_in_a_row_say_no_more_than_one(history: list[str]) -> None:
    """So workers tell them as one."""
    life = Life()
    for event in history:
        match event:
            case "g":
                life.ended(GOOD)
            case "b":
                life.ended(*[BAD] * 5)
            case "h":
                life.waited(life.now_s - 100)
            case _:
                life.after(20.0)
    life.ended(GOOD)
    after_one = life.state, vars(life.conduct).copy()
    life.ended(GOOD, GOOD)
    assert (life.state, vars(life.conduct)) == after_one


def test_ejections_grow_longer_up_to_a_bound() -> None:
    life, lengths = Life(), list[float]()
    life.ended(*[BAD] * 5)
    for _ in range(12):
        ejected_at = life.now_s
        while life.after(1.0) is EJECTED:
            pass
        assert life.state is PROBATION
        lengths.append(life.now_s - ejected_at)
        life.ended(BAD)
        assert life.state is EJECTED
    assert lengths == [*(30.0 * n for n in range(1, 11)), 300.0, 300.0]


def test_ejections_are_forgotten_after_a_good_while() -> None:
    life = Life()
    for well_s, next_s in [(200.0, 60.0), (400.0, 30.0)]:
        life.ended(*[BAD] * 5)
        life.after(60.0)
        life.ended(GOOD)
        assert life.state is READY
        life.after(well_s)
        life.ended(*[BAD] * 5)
        assert life.after(next_s - 1) is EJECTED
        assert life.after(2.0) is PROBATION
        life.ended(GOOD)
        life.after(1_000.0)


def test_probation_ends_with_its_first_token() -> None:
    life = Life()
    life.ended(*[BAD] * 5)
    life.after(30.0)
    life.heard(life.now_s - 10)
    assert life.state is PROBATION, "what came before is no proof"
    life.now_s += 1
    life.heard()
    assert life.state is READY
    life.ended(*[BAD] * 4)
    assert life.state is READY, "and its failures are forgotten"


def test_silence_longer_than_the_budget_makes_it_suspect_and_a_token_ready_again() -> None:
    life = Life()
    began_at = life.now_s
    life.now_s += 10.0
    life.waited(began_at)
    assert life.state is READY
    life.now_s += 0.1
    life.waited(began_at)
    assert life.state is SUSPECT
    life.heard(life.now_s - 0.05)
    assert life.state is SUSPECT, "it came before the verdict"
    life.now_s += 1
    life.heard()
    assert life.state is READY


def test_a_token_of_any_stream_is_progress_for_all() -> None:
    life = Life()
    began_at = life.now_s
    life.now_s += 60
    life.heard(life.now_s - 5)
    life.waited(began_at)
    assert life.state is READY


def test_a_silent_replica_is_ejected_after_a_while_and_tried_again() -> None:
    life = Life()
    life.waited(life.now_s - 11)
    assert life.after(9.0) is SUSPECT
    assert life.after(1.0) is EJECTED
    assert life.after(30.0) is PROBATION
    life.waited(life.now_s - 11)
    assert life.state is EJECTED


def test_a_lost_connection_is_no_silence() -> None:
    life = Life()
    life.apply(Event.CONNECTION_LOST)
    life.now_s += 5
    life.heard()
    assert life.after(1_000.0) is SUSPECT


def test_the_budget_allows_for_prompts_of_ours_and_of_others() -> None:
    load = LoadReport(9, 9, 0.5, uncached_waiting_tokens=20_000, boot_id=7, received_requests=0, received_at=0)
    assert stall_budget_s(SETTINGS, 0, None) == 10
    assert stall_budget_s(SETTINGS, 60_000, None) == 130
    assert stall_budget_s(SETTINGS, 60_000, load) == 170


def test_slow_start_is_linear_and_never_nothing() -> None:
    life = Life()
    shares = [life.conduct.slow_start(life.now_s + age_s) for age_s in (0, 0.5, 5, 9, 10, 1_000)]
    assert shares == pytest.approx([0.1, 0.1, 0.5, 0.9, 1, 1])


@pytest.mark.parametrize(
    ("events", "begins_again"),
    [
        ([Event.PROGRESS_STALLED, Event.PROGRESSED], False),
        ([Event.CONNECTION_LOST, Event.CONNECTED, Event.SERVING], False),
        ([Event.FAILURES_EXCEEDED, Event.EJECTION_ENDED, Event.PROBE_SUCCEEDED], True),
    ],
)
def test_slow_start_begins_again_after_probation_alone(events: list[Event], begins_again: bool) -> None:
    life = Life()
    life.now_s += 1_000
    for event in events:
        life.apply(event)
    assert life.state is READY
    assert (life.conduct.slow_start(life.now_s) < 1) == begins_again


def test_without_a_window_there_is_no_slow_start() -> None:
    life = Life(HealthSettings(slow_start_s=0))
    assert life.conduct.slow_start(life.now_s) == 1
