import os
import subprocess
import sys

from gateway.control.silence import Silence, waited_s


def silent_s(*looks: tuple[int, float]) -> float:
    """After looks a second apart: beats and seconds waited, since its start."""
    silence = Silence()
    for beats, waited in looks:
        silence.look(beats, waited, 1.0)
    return silence.seconds


def test_who_has_just_come_is_not_silent() -> None:
    assert silent_s((0, 0.0)) == 0.0


def test_who_says_nothing_is_silent_for_as_long() -> None:
    assert silent_s((3, 0.5), (3, 0.5), (3, 0.5)) == 2.0


def test_who_speaks_begins_anew() -> None:
    assert silent_s((3, 0.0), (3, 0.0), (4, 0.0)) == 0.0
    assert silent_s((3, 0.0), (3, 0.0), (4, 0.0), (4, 0.0)) == 1.0


def test_who_waits_for_a_processor_is_not_silent_meanwhile() -> None:
    assert silent_s((3, 0.0), (3, 0.75), (3, 1.5)) == 0.5


def test_a_long_wait_that_is_told_at_its_end_makes_nobody_talkative() -> None:
    assert silent_s((3, 0.0), (3, 0.0), (3, 9.0)) == 1.0


def test_linux_counts_how_long_a_process_waits() -> None:
    assert waited_s(os.getpid()) >= 0.0


def test_nobody_counts_for_a_process_that_has_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert waited_s(process.pid) == 0.0
