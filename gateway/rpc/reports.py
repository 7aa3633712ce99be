"""Load reports that come with every response of one replica."""

from typing import Final

from gateway.rpc.metadata import decode_binary
from gateway.rpc.orca import load_of, parse_numbers, usage_of
from gateway.rpc.report_layout import Layout, layout_of
from gateway.types import LoadReport, Usage

__all__ = ["Reports"]

_LEARNT_MAX: Final = 64
"""Layouts in a connection's life. A replica has a few; one that shuffles its names each time has no use for them."""


class Reports:
    """Reads what one replica says at the end of its responses. A report leaves out what is 0, so that there are some
    layouts, each of another length."""

    def __init__(self) -> None:
        self._layouts: dict[int, Layout] = {}
        self._learnt = 0

    def read(self, trailer: bytes, received_at: float) -> tuple[LoadReport, Usage | None]:
        """Return the load, and what the request has cost where it says so. Raises ValueError where it is malformed."""
        serialized = decode_binary(trailer)
        layout = self._layouts.get(len(serialized))
        numbers = None if layout is None else layout.read(serialized)
        if numbers is None:
            numbers = parse_numbers(serialized)
            self._learn(serialized)
        return load_of(numbers, received_at), usage_of(numbers)

    def _learn(self, serialized: bytes) -> None:
        if self._learnt < _LEARNT_MAX:
            self._learnt += 1
            layout = layout_of(serialized)
            if layout is not None:
                self._layouts[len(serialized)] = layout
