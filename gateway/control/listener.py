"""The agents' listening sockets. Control alone accepts: it knows which worker has the least to do."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable
from itertools import product

from gateway import logs
from gateway.config import join_address, split_address
from gateway.errors import SettingsError

_log = logging.getLogger(__name__)

BACKLOG = 4_096
"""The kernel cuts it to net.core.somaxconn."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_BUSY_PAUSE_S = 0.02
"""Before a connection is offered again that no worker took: in this time one adopts about a hundred."""
_PAUSE_S = 0.5
"""Before accepting again when descriptors or memory have run out; meanwhile agents wait in the backlog."""


def bind(address: str) -> list[socket.socket]:
    """Return sockets that listen on `HOST:PORT`, all on one port, one for each address that the host has.

    Raises SettingsError."""
    host, port = split_address(address)
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, sockaddr in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            # With port 0 the first decides.
            sockets.append(_bind_one(family, (sockaddr[0], port, *sockaddr[2:])))
            port = sockets[0].getsockname()[1]
    except OSError as error:
        for each in sockets:
            each.close()
        reason = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise SettingsError(f"listen: cannot listen on {address}: {reason}") from None
    return sockets


def _bind_one(family: int, sockaddr: tuple[str | int, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(sockaddr)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


class Listener:
    """Hands accepted sockets, and the peer's IP address, to `on_accepted`, whose they are from then on, unless it
    returns False: nobody takes one now. Then it waits, and with it those in the backlog. It owns its own sockets."""

    def __init__(
        self, sockets: list[socket.socket], on_accepted: Callable[[socket.socket, str], bool], vanished_timeout_s: float
    ) -> None:
        self._sockets = sockets
        self._waiting: tuple[socket.socket, str] | None = None
        """Accepted, from where, and taken by nobody yet."""
        self._on_accepted = on_accepted
        self._loop = asyncio.get_running_loop()
        self._resumption: asyncio.TimerHandle | None = None
        self._is_accepting = False
        self.give_up_after(vanished_timeout_s)

    @property
    def address(self) -> str:
        host, port = self._sockets[0].getsockname()[:2]
        return join_address(host, port)

    @property
    def port(self) -> int:
        return self._sockets[0].getsockname()[1]

    def give_up_after(self, timeout_s: float) -> None:
        """Let TCP end what is accepted from now on where an agent's host answers nothing for so long, whether we have
        something to say or not (tcp(7); accepted sockets have the listening one's options)."""
        options = (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            # Whole seconds: asked after half of the time, and then three times.
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(timeout_s / 2))),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, round(timeout_s / 6))),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(timeout_s * 1000)),
        )
        for listening, option in product(self._sockets, options):
            listening.setsockopt(*option)

    def start(self) -> None:
        """Accept; may be called again."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            if not self._hand_over(*waiting):
                return
        if not self._is_accepting and self._sockets:
            self._is_accepting = True
            for listening in self._sockets:
                self._loop.add_reader(listening.fileno(), self._accept, listening)

    def pause(self) -> None:
        """Accept no more for now: agents wait in the backlog."""
        if self._resumption is not None:
            self._resumption.cancel()
            self._resumption = None
        if self._is_accepting:
            self._is_accepting = False
            for listening in self._sockets:
                self._loop.remove_reader(listening.fileno())

    def close(self) -> None:
        """Accept no more for good; what waits in the backlog is refused. May be called again."""
        self.pause()
        for listening in self._sockets:
            listening.close()
        self._sockets = []
        if self._waiting is not None:
            self._waiting[0].close()
            self._waiting = None

    def _accept(self, listening: socket.socket) -> None:
        # A bounded batch: probes, signals and workers get their turn when thousands connect at once.
        for _ in range(64):
            try:
                accepted, (address, *_) = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._wait_out(error)
                    return
                # Others concern the one connection (accept(2)): ECONNABORTED, EPROTO, ENETDOWN, ...
                continue
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not self._hand_over(accepted, address) or not self._is_accepting:
                return

    def _hand_over(self, accepted: socket.socket, address: str) -> bool:
        """Return whether somebody took it; else try again soon, and accept nothing until then."""
        if self._on_accepted(accepted, address):
            return True
        self._waiting = accepted, address
        self.pause()
        self._resumption = self._loop.call_later(_BUSY_PAUSE_S, self.start)
        return False

    def _wait_out(self, error: OSError) -> None:
        """Without this the loop would spin: the listening socket stays readable."""
        _log.error(logs.line("accept_paused", reason=os.strerror(error.errno or 0), pause_s=_PAUSE_S))
        self.pause()
        self._resumption = self._loop.call_later(_PAUSE_S, self.start)
