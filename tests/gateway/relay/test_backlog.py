"""What waits until an agent reads it, and since when."""

from gateway.relay.backlog import Backlog

TIMEOUT_S = 60.0


def test_what_is_read_in_time_is_not_late() -> None:
    backlog = Backlog()
    for second in range(0, 600, 20):
        backlog.add(1_000)
        assert not backlog.is_late(second, TIMEOUT_S)
        backlog.take(1_000)
    assert backlog.held_bytes == 0


def test_what_nobody_reads_is_late_after_the_timeout() -> None:
    backlog = Backlog()
    backlog.add(1_000)
    assert not backlog.is_late(0, TIMEOUT_S)
    assert not backlog.is_late(60, TIMEOUT_S)
    assert backlog.is_late(61, TIMEOUT_S)


def test_an_agent_that_takes_a_byte_now_and_then_is_late_all_the_same() -> None:
    backlog = Backlog()
    backlog.add(1_000)
    late_at = next(second for second in range(1_000) if backlog.take(1) or backlog.is_late(second, TIMEOUT_S))
    assert late_at == 61


def test_a_steady_reader_with_a_full_backlog_is_not_late() -> None:
    backlog = Backlog()
    backlog.add(256_000)
    for second in range(1_000):
        backlog.take(10_000)
        backlog.add(10_000)
        assert not backlog.is_late(second, TIMEOUT_S)
