"""How much of what was read is looked at before others have their turn."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import Limit
from gateway.http2 import frames
from gateway.http2.limits import Limits
from gateway.relay.replica_connection import ReplicaConnection
from gateway.relay.socket_connection import Shared
from tests.gateway.relay.memory_socket import MemorySocket

pytestmark = pytest.mark.anyio

TURN_FRAMES = 4
PING = frames.frame(frames.PING, 0, 0, b"12345678")
ANSWER = frames.frame(frames.PING, frames.ACK, 0, b"12345678")


class Socket(MemorySocket):
    def is_closing(self) -> bool:
        return self.is_closed


class Watcher:
    def on_too_many_pings(self) -> None: ...

    def on_limit(self, limit: Limit) -> None: ...
    def on_room(self, connection: ReplicaConnection) -> None: ...
    def on_lost(self, connection: ReplicaConnection) -> None: ...


class End:
    """Our end of a connection, in a loop whose clock goes on by `tick_s` whenever it is asked."""

    def __init__(self, tick_s: float) -> None:
        self._now_s, self._tick_s = 0.0, tick_s
        self._soon: list[Callable[[], None]] = []
        shared = Shared.made(self._soon.append, self._clock)
        ready = asyncio.get_running_loop().create_future()
        self.connection = ReplicaConnection(shared, Limits(turn_frames=TURN_FRAMES), Watcher(), ready)
        self.socket = Socket()
        self.connection.connection_made(self.socket)
        self.receive(frames.settings([]))
        self.answered()

    def receive(self, data: bytes) -> None:
        self.connection.data_received(data)

    def turn(self) -> None:
        soon, self._soon[:] = self._soon[:], []
        for callback in soon:
            callback()

    def answered(self) -> int:
        """Return how many PINGs were since the last time."""
        self.connection.flush()
        sent, self.socket.sent = self.socket.sent, b""
        return sent.count(ANSWER)

    def _clock(self) -> float:
        self._now_s += self._tick_s
        return self._now_s


async def test_what_came_together_goes_on_together_while_there_is_time() -> None:
    end = End(tick_s=0.0)
    end.receive(10 * TURN_FRAMES * PING)
    assert end.answered() == 10 * TURN_FRAMES


async def test_what_takes_longer_waits_for_its_turn_and_the_socket_is_read_meanwhile() -> None:
    end = End(tick_s=0.001)
    end.receive(3 * TURN_FRAMES * PING)
    assert (end.answered(), end.socket.reads) == (TURN_FRAMES, True)
    end.turn()
    end.turn()
    assert (end.answered(), end.socket.reads) == (2 * TURN_FRAMES, True)


async def test_what_comes_before_its_turn_is_held_and_nothing_more_is_read() -> None:
    end = End(tick_s=0.001)
    end.receive(2 * TURN_FRAMES * PING + PING[:5])
    end.receive(PING[5:] + TURN_FRAMES * PING)
    assert (end.answered(), end.socket.reads) == (TURN_FRAMES, False)
    for _ in range(3):
        end.turn()
    assert (end.answered(), end.socket.reads) == (2 * TURN_FRAMES + 1, True)
    end.receive(PING)
    assert end.answered() == 1
