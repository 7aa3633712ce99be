"""Asks replicas how they are: one task for each, so that one replica's trouble never delays another's."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import NamedTuple

from gateway import logs
from gateway.config import ProbeSettings, ReplicaSettings
from gateway.control.backoff import Backoff
from gateway.control.fleet_owner import FleetOwner
from gateway.control.health_connection import ConnectionLost, HealthConnection
from gateway.control.replica_calls import ReplicaCalls
from gateway.control.replica_channels import ReplicaChannels

_log = logging.getLogger(__name__)

Clock = Callable[[], float]


class _Lost(NamedTuple):
    reason: str
    was_up: bool


class Prober:
    """Follows discovery: begins to ask new replicas, and stops asking those that are gone."""

    def __init__(
        self, owner: FleetOwner, gateway_id: str, channels: ReplicaChannels, probe: ProbeSettings, clock: Clock
    ) -> None:
        self._owner = owner
        self._gateway_id = gateway_id
        self._channels = channels
        self._probe = probe
        self._clock = clock

    async def run(self, discovered: AsyncGenerator[Sequence[ReplicaSettings], None]) -> None:
        """Never returns."""
        probes: dict[tuple[str, str], asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks, aclosing(discovered):
            async for replicas in discovered:
                self._owner.assign(replicas)
                wanted = {(replica.id or replica.address, replica.address) for replica in replicas}
                for key in probes.keys() - wanted:
                    probes.pop(key).cancel()
                for key in wanted - probes.keys():
                    probes[key] = tasks.create_task(self._probe_one(*key))
            await asyncio.Event().wait()

    async def _probe_one(self, replica_id: str, address: str) -> None:
        """Keep one replica's health connection up, however often it is lost."""
        settings = self._channels.settings
        # Several gateways must not come back to a replica in step.
        rng = random.Random(self._gateway_id + replica_id)
        backoff = Backoff(settings.backoff_base_s, settings.backoff_max_s, settings.backoff_jitter, rng)
        interval_s = settings.keepalive_interval_s
        while True:
            lost = await self._until_lost(replica_id, address, interval_s)
            self._owner.lost(replica_id, lost.reason)
            if "too_many_pings" in lost.reason.replace(" ", "_").lower():
                # It permits fewer (gRFC A8): the default of gRPC servers is one in five minutes.
                interval_s *= 8
            if lost.was_up:
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    async def _until_lost(self, replica_id: str, address: str, interval_s: float) -> _Lost:
        async with self._channels.open(address, interval_s) as channel:
            connection = HealthConnection(
                self._owner, replica_id, ReplicaCalls(channel), self._gateway_id, self._probe, self._clock
            )
            try:
                await connection.run(interval_s)
            except ExceptionGroup as group:
                lost = group.subgroup(ConnectionLost)
                if lost is not None:
                    return _Lost(str(lost.exceptions[0]), connection.was_up)
                # A defect of ours, or of grpcio, met with one replica must not end the gateway.
                _log.exception(logs.line("probe_failed", replica=replica_id))
            return _Lost("probing it failed: see the log", connection.was_up)
