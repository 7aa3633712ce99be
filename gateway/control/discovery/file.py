"""A file that names replicas, looked at again and again."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from gateway.config import FileSource, ReplicaSettings
from gateway.control.discovery.sources import Found, SourceFailed


async def watch(settings: FileSource) -> AsyncGenerator[Found, None]:
    """Yield what the file names, after each look. A file that cannot be used fails the source."""
    seen: tuple[int, int, int] | None = None
    found: Found = ()
    while True:
        try:
            look = identity(settings.path)
            if look != seen:
                found = replicas_in(Path(settings.path).read_text(encoding="utf-8"), settings)
                seen = look
        except OSError as error:
            raise SourceFailed(f"{settings.path}: {error.strerror}") from None
        except (msgspec.ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise SourceFailed(f"{settings.path}: {' '.join(str(error).split())}") from None
        yield found
        await asyncio.sleep(settings.interval_s)


def identity(path: str | Path) -> tuple[int, int, int]:
    """Return what changes when the file at `path` does, by whatever means it is written. Raises OSError."""
    now = os.stat(path)
    return now.st_mtime_ns, now.st_size, now.st_ino


def replicas_in(text: str, settings: FileSource) -> Found:
    """Return the replicas of a YAML or JSON list. Raises msgspec.ValidationError, yaml.YAMLError."""
    entries = msgspec.convert(yaml.safe_load(text) or [], list[dict[str, Any]])
    return [_replica(entry, settings) for entry in entries]


def _replica(entry: dict[str, Any], settings: FileSource) -> ReplicaSettings:
    given = {"weight": settings.weight, "zone": settings.zone, "models": settings.models, **entry}
    replica = msgspec.convert(given, ReplicaSettings)
    return msgspec.structs.replace(replica, labels={**settings.labels, **replica.labels})
