"""Logs for people and machines: one line for each event, as `key=value` pairs (logfmt), to stderr."""

import logging
import re
import sys
from datetime import UTC, datetime

_PLAIN = re.compile(r"[^\s\"=]+")


def line(event: str, **fields: object) -> str:
    """Return `event=... key=value ...`; None is left out, floats are cut to milliseconds."""
    pairs = [f"{key}={_value(value)}" for key, value in fields.items() if value is not None]
    return " ".join([f"event={event}", *pairs])


def _value(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else " ".join(str(value).split())
    return text if _PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


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
