"""Settings that change while the gateway runs: all that is new is taken over, or nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from gateway import logs
from gateway.config import LIVE, Settings
from gateway.control.usable import check_usable
from gateway.errors import SettingsError
from gateway.metrics import Registry

_log = logging.getLogger(__name__)


class Reconfigured(NamedTuple):
    names: tuple[str, ...]
    """Of the settings that have changed."""


class Reconfiguration:
    """`prepare` asks the workers whether they could use settings, and raises SettingsError where one could not; `apply`
    makes control and the workers use them and cannot fail."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        prepare: Callable[[Settings], Awaitable[None]],
        apply: Callable[[Settings, Settings], None],
        registry: Registry,
    ) -> None:
        self.settings = settings
        self._read = read
        self._prepare = prepare
        self._apply = apply
        # One at a time: what is prepared must be what is applied.
        self._lock = asyncio.Lock()
        results = registry.counter(
            "inference_gateway_settings_changes_total", "Tries to change settings while running, by result.", "result"
        )
        self._results = {result: results.child(result) for result in ("applied", "unchanged", "refused")}
        self.is_refused = False
        """The settings last asked for are not those in use."""
        self._refused = registry.gauge(
            "inference_gateway_settings_refused", "1 while the settings last asked for are not those in use."
        ).child()

    async def reload(self, why: str) -> Reconfigured:
        """Read the file again and take it over. Raises SettingsError where any of it cannot be used."""
        return await self._change(self._read, why)

    async def change(self, why: str, **changes: object) -> Reconfigured:
        """Change single settings, until the next `reload`. Raises SettingsError."""
        return await self._change(lambda: _replaced(self.settings, changes), why)

    async def _change(self, read: Callable[[], Settings], why: str) -> Reconfigured:
        async with self._lock:
            try:
                new = read()
                names = changed(self.settings, new)
                if fixed := [name for name in names if name not in LIVE]:
                    raise SettingsError(f"cannot change while the gateway runs: {', '.join(fixed)}")
                check_usable(new)
                await self._prepare(new)
            except SettingsError as error:
                self._results["refused"].add()
                self._set_refused(True)
                _log.error(logs.line("settings_refused", reason=error, why=why))
                raise
            self._set_refused(False)
            self._results["applied" if names else "unchanged"].add()
            if names:
                old, self.settings = self.settings, new
                self._apply(old, new)
                _log.info(logs.line("settings_changed", settings=",".join(names), why=why))
            return Reconfigured(names)

    def _set_refused(self, is_refused: bool) -> None:
        self.is_refused = is_refused
        self._refused.set(is_refused)


def changed(old: Settings, new: Settings) -> tuple[str, ...]:
    """Return the names of the settings that differ."""
    return tuple(name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name))


def _replaced(settings: Settings, changes: dict[str, object]) -> Settings:
    try:
        return msgspec.structs.replace(settings, **changes)
    except ValueError as error:
        raise SettingsError(str(error)) from None
