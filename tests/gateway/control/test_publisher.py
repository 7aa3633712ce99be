from collections.abc import Callable

import pytest

from gateway.control.fleet_owner import Change
from gateway.control.publisher import LOAD_DELAY_S, Publisher

FLEET, LOAD = Change.FLEET, Change.LOAD


class Loop:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> "FakeTimer":
        self._timers.append(timer := (self.now + delay_s, callback))
        return FakeTimer(lambda: self._timers.remove(timer))

    def run_due(self) -> None:
        for timer in [timer for timer in self._timers if timer[0] <= self.now + 1e-9]:
            self._timers.remove(timer)
            timer[1]()


class FakeTimer:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


@pytest.mark.parametrize(
    ("changes", "published"),
    [
        ([(0.0, FLEET), (0.0, FLEET), (0.0, LOAD)], [(0.0, FLEET)]),
        ([(0.0, LOAD), (0.002, LOAD), (0.004, LOAD)], [(LOAD_DELAY_S, LOAD)]),
        ([(0.0, LOAD), (0.002, FLEET)], [(0.002, FLEET)]),
        ([(0.0, LOAD), (0.002, FLEET), (0.003, LOAD)], [(0.002, FLEET), (0.003 + LOAD_DELAY_S, LOAD)]),
        ([(0.0, FLEET), (0.001, FLEET)], [(0.0, FLEET), (0.001, FLEET)]),
        ([], []),
    ],
)
def test_what_matters_goes_at_once_and_load_alone_waits_a_little(
    changes: list[tuple[float, Change]], published: list[tuple[float, Change]]
) -> None:
    loop, seen = Loop(), list[tuple[float, Change]]()
    publisher = Publisher(lambda change: seen.append((loop.now, change)), loop.call_later)
    for millisecond in range(30):
        loop.now = millisecond / 1000
        for at, change in changes:
            if at == loop.now:
                publisher.changed(change)
        loop.run_due()
    assert [change for _, change in seen] == [change for _, change in published]
    assert [at for at, _ in seen] == pytest.approx([at for at, _ in published])
