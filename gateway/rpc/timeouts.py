"""The `grpc-timeout` field (PROTOCOL-HTTP2.md, Timeout): at most eight digits and a unit."""

from math import ceil
from typing import Final

_S: Final = 1_000_000_000
_UNIT_NS: Final = {b"H": 3600 * _S, b"M": 60 * _S, b"S": _S, b"m": 1_000_000, b"u": 1_000, b"n": 1}
_SENT: Final = (b"u", b"m", b"S", b"M", b"H")
"""Finest first. Below a microsecond no clock of ours counts."""
_MAX_COUNT: Final = 99_999_999


def parse_timeout(value: bytes) -> float:
    """Return seconds. Raises ValueError."""
    digits, unit_ns = value[:-1], _UNIT_NS.get(value[-1:])
    if unit_ns is None or not digits.isdigit() or len(digits) > 8:
        raise ValueError(f"grpc-timeout {value[:32]!r} is not up to eight digits and one of HMSmun")
    return int(digits) * unit_ns / _S


def format_timeout(seconds: float) -> bytes:
    """Return the finest form that fits, rounded up: nobody is told to give up before the agent does. Time that has
    run out is one microsecond, since a timeout is positive."""
    left_ns = max(1, ceil(seconds * _S))
    for unit in _SENT:
        count = -(-left_ns // _UNIT_NS[unit])
        if count <= _MAX_COUNT:
            return b"%d%b" % (count, unit)
    return b"%dH" % _MAX_COUNT
