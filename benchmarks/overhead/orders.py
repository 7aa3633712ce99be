"""What an agent orders of the raw replica. An order stands in the request's prompt, so that it passes every proxy and
no header has to be decoded for it."""

import re
from dataclasses import astuple, dataclass
from functools import lru_cache

from gateway.rpc.framing import prefixed
from inference.v1 import inference_pb2 as pb

MODEL = "model"
GO, STOP = 1, 2
"""GO starts the clocks of steps; those without an interval take one step for each GO."""
_ORDER = re.compile(rb"order:([0-9,]+);")
_HEX_DIGITS = 16
_TEXT_AT = 5 + 2 + 2
"""Of the text in a message: after its prefix, the sequence number and the text's own tag and length."""


@dataclass(frozen=True, slots=True)
class Order:
    """One stream."""

    messages: int = 0
    """0: one at once, then one in each step until STOP."""
    message_bytes: int = 120
    """Serialized, without gRPC's five bytes in front; 32 to 127."""
    interval_ns: int = 0
    """From one message to the next; 0: one for each GO."""
    is_spread: int = 0
    """1: each stream has its own phase in the interval. 0: all get their message at the same moment, as an engine's
    step gives it."""
    is_held: int = 0
    """1: no answer at all."""
    command: int = 0
    """For the replica itself: GO or STOP."""

    def request(self, prompt_bytes: int) -> bytes:
        """Return GenerateRequest with its prefix."""
        text = "order:" + ",".join(map(str, astuple(self))) + ";"
        request = pb.GenerateRequest(
            model=MODEL, request_id="0123456789abcdef", session_id="session-1", text=text.ljust(prompt_bytes, "x")
        )
        return prefixed(request.SerializeToString())


def find_order(buffer: bytearray, start: int, end: int) -> Order | None:
    found = _ORDER.search(buffer, start, end)
    return _parse(bytes(found[1])) if found else None


@lru_cache(64)
def _parse(text: bytes) -> Order:
    return Order(*map(int, text.split(b",")))


@lru_cache(8)
def message(size: int) -> bytes:
    """Return GenerateResponse with its prefix: its text has room in front for a moment, in hex digits."""
    response = pb.GenerateResponse(sequence=1, text="0" * (size - 10), token_ids=[1])
    wire = prefixed(response.SerializeToString())
    assert len(wire) == size + 5
    return wire


def sent_at_ns(buffer: bytearray | bytes, start: int) -> int:
    """Return the moment in the message that begins, with its prefix, at `start`."""
    at = start + _TEXT_AT
    return int(buffer[at : at + _HEX_DIGITS], 16)


class Stamp:
    """A message that is made once; each copy gets its own moment."""

    def __init__(self, size: int) -> None:
        wire = message(size)
        self._before, self._after = wire[:_TEXT_AT], wire[_TEXT_AT + _HEX_DIGITS :]

    def at(self, due_at_ns: int) -> bytes:
        return b"%b%016x%b" % (self._before, due_at_ns, self._after)
