"""The `grpc-timeout` field (PROTOCOL-HTTP2.md, Timeout): at most eight digits and a unit."""

_UNIT_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MAX_DIGITS = 99_999_999


def parse_timeout(value: bytes) -> float:
    """Return seconds. Raises ValueError."""
    digits, unit_s = value[:-1], _UNIT_S.get(value[-1:])
    if unit_s is None or not digits.isdigit() or len(digits) > 8:
        raise ValueError(f"grpc-timeout {value!r}")
    return int(digits) * unit_s


def format_timeout(seconds: float) -> bytes:
    """Return the finest form that fits, rounded up: nobody is told to give up before the agent does."""
    for unit in (b"u", b"m", b"S", b"M"):
        count = -int(-max(seconds, 0.0) // _UNIT_S[unit])
        if count <= _MAX_DIGITS:
            return b"%d%b" % (count, unit)
    return b"%dH" % min(_MAX_DIGITS, -int(-seconds // _UNIT_S[b"H"]))
