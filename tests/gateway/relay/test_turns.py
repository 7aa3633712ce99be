from collections.abc import Callable

import pytest

from gateway.relay.turns import Turns


class Loop:
    """Time passes only by work."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.soon: list[Callable[[], None]] = []
        self.turns = Turns(self.soon.append, lambda: self.now_s, self.flush)
        self.done: list[str] = []
        self.output: list[str] = []

    def work(self, name: str, takes_s: float, times: int = 1) -> None:
        """Let a connection wait that has so much to do."""

        def go_on() -> None:
            self.now_s += takes_s
            self.done.append(name)
            if times > 1:
                self.work(name, takes_s, times - 1)

        self.turns.wait(go_on)

    def flush(self) -> None:
        self.done += self.output
        self.output.clear()

    def turn(self) -> str:
        """Return who had a go in one turn of the loop."""
        soon, self.soon[:] = self.soon[:], []
        for callback in soon:
            callback()
        done, self.done = "".join(self.done), []
        return done


def test_nothing_is_done_at_once() -> None:
    loop = Loop()
    loop.work("a", 0.0)
    assert loop.done == []
    assert loop.turn() == "a"
    assert loop.soon == []


def test_in_one_turn_there_is_one_slice_for_all() -> None:
    loop = Loop()
    for name in "abc":
        loop.work(name, 0.0003)
    assert [loop.turn(), loop.turn()] == ["ab", "c"]


def test_who_has_more_to_do_comes_after_the_others() -> None:
    loop = Loop()
    loop.work("a", 0.002, times=3)
    loop.work("b", 0.002)
    assert [loop.turn() for _ in range(5)] == ["a", "b", "a", "a", ""]


def test_little_work_is_done_in_one_turn_and_once_by_each() -> None:
    loop = Loop()
    loop.work("a", 0.0, times=2)
    loop.work("b", 0.0)
    assert [loop.turn(), loop.turn()] == ["ab", "a"]


def test_one_that_fails_does_not_keep_the_others_waiting() -> None:
    loop = Loop()
    loop.turns.wait(list[None]().pop)
    loop.work("b", 0.0)
    with pytest.raises(IndexError):
        loop.turn()
    assert loop.turn() == "b"


def test_what_has_been_relayed_is_written_before_the_slice() -> None:
    loop = Loop()
    loop.work("a", 0.002)
    loop.output.append("!")
    assert loop.turn() == "!a"
