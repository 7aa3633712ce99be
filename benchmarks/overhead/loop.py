"""A loop of our own, because a measurement sends at exact instants: uvloop's timers tick in milliseconds, and asyncio's
transports cost as much for a read as the fastest proxy for a message."""

import heapq
import select
import time
from collections.abc import Callable
from itertools import count

now_ns = time.monotonic_ns


class Loop:
    """Sockets that are ready, and exact instants of the monotonic clock."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()

    def watch(self, fd: int, on_ready: Callable[[int], None]) -> None:
        self._epoll.register(fd, select.EPOLLIN)
        self._handlers[fd] = on_ready

    def forget(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def want_writable(self, fd: int, *, is_wanted: bool) -> None:
        self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT if is_wanted else select.EPOLLIN)

    def at(self, due_ns: int, callback: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (due_ns, next(self._numbers), callback))

    def run(self, until: Callable[[], bool]) -> None:
        """Return once `until` says so, which is asked every turn."""
        while not until():
            self._sleep()
            for fd, events in self._epoll.poll(0):
                # An earlier one of this turn may have closed it.
                if handler := self._handlers.get(fd):
                    handler(events)
            now = now_ns()
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()

    def _sleep(self) -> None:
        wait_s = None if not self._timers else max(0, self._timers[0][0] - now_ns()) / 1e9
        # select has microseconds where epoll's own timeout has milliseconds.
        select.select([self._epoll], (), (), wait_s)
