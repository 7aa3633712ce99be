"""Rotation: the files are read again and again, and what they say is used for new connections, whole or not at all."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Generic, TypeVar

from gateway import logs
from gateway.config import TlsSettings
from gateway.control.certificates import PemFiles, agent_tls, replica_tls, validity
from gateway.errors import SettingsError
from gateway.metrics import Registry
from gateway.tls.material import AgentTls, Material, ReplicaTls

_log = logging.getLogger(__name__)

TlsT = TypeVar("TlsT", AgentTls, ReplicaTls)


class _Side(Generic[TlsT]):
    """The files of one side, and what was last read of them that can be used."""

    def __init__(self, name: str, paths: Mapping[str, str], parse: Callable[[PemFiles], TlsT]) -> None:
        """Raises SettingsError."""
        self.name = name
        self._paths = paths
        self._parse = parse
        files = PemFiles(name, paths)
        self._seen = files.contents
        self.tls = parse(files)

    def look(self) -> bool:
        """Return whether `tls` has changed. Raises SettingsError, once, where it cannot be used as it now is."""
        files = PemFiles(self.name, self._paths)
        if files.contents == self._seen:
            return False
        self._seen = files.contents
        before, self.tls = self.tls, self._parse(files)
        return self.tls != before


class CertificateWatch:
    """Compares what the files hold: so a link that points elsewhere, as Kubernetes swaps it, is a change, and a file
    that was only touched is none."""

    def __init__(
        self,
        settings: TlsSettings,
        registry: Registry,
        on_change: Callable[[Material], None],
        clock: Callable[[], float],
    ) -> None:
        """`clock` is the time of day. Raises SettingsError."""
        self._interval_s = settings.reread_interval_s
        self._on_change = on_change
        self._clock = clock
        self._not_after = registry.gauge(
            "inference_gateway_certificate_expiration_timestamp_seconds",
            "Until when our certificate holds that is in use for new connections, in Unix time.",
            "side",
        )
        self._reloads = registry.counter(
            "inference_gateway_certificate_reloads_total", "Changed files of certificates and keys.", "side", "result"
        )
        self._agents = _agents_side(settings)
        self._replicas = _replicas_side(settings)
        for side in self._sides:
            self._tell(side)

    @property
    def material(self) -> Material:
        return Material(self._agents and self._agents.tls, self._replicas and self._replicas.tls)

    async def run(self) -> None:
        """Return at once where there is nothing to watch, else never."""
        while self._sides:
            await asyncio.sleep(self._interval_s)
            self.look()

    def look(self) -> None:
        """Use what has changed, if all of it can be used."""
        changed = [side for side in self._sides if self._has_changed(side)]
        if changed:
            self._on_change(self.material)

    @property
    def _sides(self) -> list[_Side[AgentTls] | _Side[ReplicaTls]]:
        return [side for side in (self._agents, self._replicas) if side is not None]

    def _has_changed(self, side: _Side[AgentTls] | _Side[ReplicaTls]) -> bool:
        try:
            if not side.look():
                return False
        except SettingsError as error:
            self._reloads.child(side.name, "refused").add()
            _log.error(logs.line("certificate_refused", side=side.name, reason=error, consequence="the old one stays"))
            return False
        self._reloads.child(side.name, "used").add()
        self._tell(side)
        return True

    def _tell(self, side: _Side[AgentTls] | _Side[ReplicaTls]) -> None:
        """Say what is in use, and warn where peers will not take it."""
        if side.tls.identity is None:
            _log.info(logs.line("certificate_in_use", side=side.name, certificate="none"))
            return
        not_before, not_after = validity(side.tls.identity)
        self._not_after.child(side.name).set(not_after.timestamp())
        now = datetime.fromtimestamp(self._clock(), UTC)
        is_valid = not_before <= now < not_after
        line = logs.line(
            "certificate_in_use" if is_valid else "certificate_not_valid",
            side=side.name,
            not_before=not_before.isoformat(),
            not_after=not_after.isoformat(),
        )
        _log.log(logging.INFO if is_valid else logging.WARNING, "%s", line)


def _agents_side(settings: TlsSettings) -> _Side[AgentTls] | None:
    agents = settings.agents
    paths = {"cert": agents.cert, "key": agents.key, "client_ca": agents.client_ca}
    return _Side("agents", paths, lambda files: agent_tls(agents, files)) if agents.cert else None


def _replicas_side(settings: TlsSettings) -> _Side[ReplicaTls] | None:
    replicas = settings.replicas
    paths = {"cert": replicas.cert, "key": replicas.key, "ca": replicas.ca}
    return _Side("replicas", paths, lambda files: replica_tls(replicas, files)) if replicas.ca else None
