"""What the clients of the conformance cases send: a fuzzer need not find out HTTP/2 by itself."""

from collections.abc import Iterator

from tests.conformance.__main__ import CASES
from tests.conformance.script import Player, play
from tests.conformance.wires import MemoryWire

_LONGEST = 1_023
_WHOLE = bytes((1 | 63 << 2,))
"""A server, from the first byte on, in pieces of 64 bytes."""


class Recording(MemoryWire):
    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data
        super().send(data)


def seeds(target: str) -> Iterator[bytes]:
    if target == "headers":
        yield bytes((4,)) + b"\x82\x86\x84\x41"
        return
    for case in CASES:
        wire = Recording()
        play(case, Player(wire))
        if len(wire.sent) <= _LONGEST:
            yield _WHOLE + wire.sent
