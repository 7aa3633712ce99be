from datetime import UTC, datetime

from benchmarks.churn.timeline import Attempt, Change, Timeline, read

AT = datetime(2026, 11, 22, 10, 0, 0, 250_000, UTC).timestamp()
LOG = """\
gateway listening on 127.0.0.1:1 (0 replicas and 1 source, policy random)
at=2026-11-22T10:00:00.250Z level=info logger=a event=replica_state state=ready replica=r1 incarnation=1 reason=serving
at=2026-11-22T10:00:00.250Z level=debug logger=b event=attempt replica=r1 incarnation=1
at=2026-11-22T10:00:01.250Z level=warning logger=a event=replica_state state=suspect replica=r2 reason="it is away"
at=2026-11-22T10:00:01.250Z level=info logger=a event=connect_failed address=x reason="event=attempt replica=r9"
"""


def test_reads_what_a_log_says_of_states_and_attempts() -> None:
    assert list(read(LOG.splitlines())) == [
        Change(AT, "r1", "ready"),
        Attempt(AT, "r1"),
        Change(AT + 1, "r2", "suspect"),
    ]


def test_knows_every_state_of_a_while() -> None:
    timeline = Timeline([Change(10, "a", "ready"), Change(30, "a", "gone"), Change(20, "a", "suspect")])
    assert timeline.during("a", 1, 9) == {"starting"}
    assert timeline.during("a", 1, 10) == {"starting", "ready"}
    assert timeline.during("a", 10, 19) == {"ready"}
    assert timeline.during("a", 15, 40) == {"ready", "suspect", "gone"}
    assert timeline.during("never seen", 15, 40) == {"starting"}


def test_panic_is_when_fewer_than_half_of_those_that_could_be_used_are_ready() -> None:
    ready = [Change(10, name, "ready") for name in "abcd"]
    timeline = Timeline([*ready, Change(20, "a", "suspect"), Change(21, "b", "ejected"), Change(22, "c", "suspect")])
    assert not timeline.is_panic(20, 21.5)
    assert timeline.is_panic(20, 22)
    draining = Timeline([*ready, *(Change(20, name, "draining") for name in "abc")])
    assert not draining.is_panic(0, 30), "those that drain could not be used anyway"
