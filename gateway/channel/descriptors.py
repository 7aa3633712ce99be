"""Accepted sockets handed from control to a worker, by SCM_RIGHTS over a Unix socket of their own.

SOCK_SEQPACKET, because it keeps one descriptor to one message and still tells of the other end's close.
"""

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable

logger = logging.getLogger(__name__)

_INT = struct.Struct("i")
_ROOM = socket.CMSG_SPACE(_INT.size)


def descriptors_pair() -> tuple[socket.socket, socket.socket]:
    """Return control's end and the worker's, both non-blocking."""
    control, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.setblocking(False)
    worker.setblocking(False)
    return control, worker


class DescriptorSender:
    """Control's end. It owns `end`."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    def send(self, accepted: socket.socket, network: int) -> bool:
        """Hand `accepted` over and close our copy. `network` goes along: the number under which it is counted. False:
        the worker is gone, and the copy stays open.

        Raises BlockingIOError, with the copy open, where the worker has not yet taken the few hundred that the kernel
        queues (SO_SNDBUF, net.unix.max_dgram_qlen).
        """
        try:
            socket.send_fds(self._end, [_INT.pack(network)], [accepted.fileno()])
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno == errno.ETOOMANYREFS:
                raise BlockingIOError(error.errno, "too many descriptors are on their way") from error
            return False  # EPIPE, ECONNRESET.
        accepted.close()
        return True

    def close(self) -> None:
        self._end.close()


class DescriptorReceiver:
    """The worker's end. It owns `end`; each socket that it hands to `on_accepted` is non-blocking and the callee's.
    `on_lost` is told of one that could not be received. Both get the number that came along.

    Closing it, or losing control, closes what was sent and not yet received (the kernel does).
    """

    def __init__(
        self, end: socket.socket, on_accepted: Callable[[socket.socket, int], None], on_lost: Callable[[int], None]
    ) -> None:
        end.setblocking(False)
        self._end = end
        self._on_accepted = on_accepted
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end.fileno(), self._receive)

    def _receive(self) -> None:
        # A bounded batch: others of this loop get their turn when thousands connect at once.
        for _ in range(8):
            try:
                # Not socket.recv_fds: it ignores its flags, and a child process would inherit the connection.
                payload, ancillary, _, _ = self._end.recvmsg(_INT.size, _ROOM, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                payload, ancillary = b"", []
            if not payload:
                self.close()
                return
            rights = [data for _, kind, data in ancillary if kind == socket.SCM_RIGHTS]
            self._adopt(rights, _INT.unpack(payload)[0])

    def _adopt(self, rights: list[bytes], network: int) -> None:
        if not rights:
            # This process has no descriptor left: the kernel dropped it, and with control's copy closed the agent sees
            # its connection end.
            logger.warning("event=descriptor_dropped reason=no_descriptor_left")
            self._on_lost(network)
            return
        accepted = socket.socket(fileno=_INT.unpack(rights[0])[0])
        accepted.setblocking(False)
        self._on_accepted(accepted, network)

    def close(self) -> None:
        """Stop receiving; may be called again."""
        if self._end.fileno() >= 0:
            self._loop.remove_reader(self._end.fileno())
            self._end.close()
