"""Notices that the settings file has changed, by whatever means it is written."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.control.discovery.file import identity
from gateway.errors import SettingsError

INTERVAL_S = 1.0
"""Looking, rather than being told: mounted volumes (a ConfigMap is a link to a link) and remote file systems do not
reliably tell."""


async def watch_settings(file: Path, reload: Callable[[], Awaitable[object]], interval_s: float = INTERVAL_S) -> None:
    """Call `reload` after each change. A file that is missing is one being replaced. Never returns."""
    seen = _look(file)
    while True:
        await asyncio.sleep(interval_s)
        look = _look(file)
        if look is None or look == seen:
            continue
        seen = look
        try:
            await reload()
        except SettingsError:
            # Said, counted, and the settings in use stay.
            continue


def _look(file: Path) -> tuple[int, int, int] | None:
    try:
        return identity(file)
    except OSError:
        return None
