"""Logs for people and machines: one line for each event, as `key=value` pairs (logfmt), to stderr."""

import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime

_PLAIN = re.compile(r"[^\s\"=]+")
_SELDOM_INTERVAL_S = 10.0


def line(event: str, **fields: object) -> str:
    """Return `event=... key=value ...`; None is left out, floats are cut to milliseconds."""
    pairs = [f"{key}={_value(value)}" for key, value in fields.items() if value is not None]
    return " ".join([f"event={event}", *pairs])


def _value(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else " ".join(str(value).split())
    return text if _PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Seldom:
    """Warns of what a peer may bring about as often as it likes: one line in ten seconds for each cause, which says how
    many there were before it that got none. Causes are few, and ours to name."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._log = log
        self._clock = clock
        self._last_at: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}

    def warn(self, cause: str, event: str, /, **fields: object) -> None:
        """`event` and `fields` are those of `line`."""
        now_s = self._clock()
        last_at = self._last_at.get(cause)
        if last_at is not None and now_s - last_at < _SELDOM_INTERVAL_S:
            self._unlogged[cause] = self._unlogged.get(cause, 0) + 1
            return
        self._last_at[cause] = now_s
        self._log.warning(line(event, **fields, unlogged_before=self._unlogged.pop(cause, None)))


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = record.getMessage()
        if not message.startswith("event="):
            message = line("message", text=message)
        text = f"at={at} level={record.levelname.lower()} logger={record.name} {message}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure(level: str) -> None:
    """Send all logs of this process to stderr; `level` as in the settings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
