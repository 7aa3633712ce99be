"""What the connections and exchanges of one worker share."""

import asyncio
from collections.abc import Callable

from gateway.config import LimitSettings
from gateway.dialects.table import MethodTable
from gateway.dispatch.admission import Admission
from gateway.fleet.fleet import FleetChange
from gateway.http2.headers import Field
from gateway.http2.limits import Limits
from gateway.relay.agent_connection import AgentConnection
from gateway.relay.attempt import Attempt
from gateway.relay.flusher import Flusher
from gateway.relay.memory import RequestMemory
from gateway.relay.metrics import RelayMetrics
from gateway.relay.pool import Pool
from gateway.relay.socket_connection import Codec
from gateway.relay.timer import Timer


class Relay:
    """Built by the worker, field by field; it owns the agents' connections and the pools."""

    def __init__(
        self,
        *,
        limits: LimitSettings,
        methods: MethodTable,
        admission: Admission,
        metrics: RelayMetrics,
        flusher: Flusher,
        codec: Codec,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Timer],
        pushback: Callable[[], float],
        gateway_id: str,
        control: Pool,
        new_pool: Callable[[str], Pool],
        on_counts: Callable[[], None],
    ) -> None:
        self.limits = limits
        self.agent_limits = Limits(
            streams=limits.streams_per_connection,
            header_list_bytes=limits.header_bytes,
            header_list_max_bytes=limits.header_bytes_hard,
        )
        self.methods = methods
        self.admission = admission
        self.metrics = metrics
        self.flusher = flusher
        self.codec = codec
        self.clock = clock
        self.pushback = pushback
        self.gateway_id: Field = (b"x-gateway-id", gateway_id.encode("ascii"))
        self.memory = RequestMemory(limits.buffered_bytes)
        self.agents: set[AgentConnection] = set()
        self.pools: dict[str, Pool] = {}
        self._call_later = call_later
        self._control = control
        self._new_pool = new_pool
        self.on_counts = on_counts
        self._idle: asyncio.Future[None] | None = None

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` at an instant of `clock`."""
        return self._call_later(max(0.0, at - self.clock()), callback)

    def connect(self, attempt: Attempt) -> None:
        """Find the attempt a connection to its replica."""
        pool = self._pool(attempt)
        if pool is None:
            attempt.on_connect_failed(f"replica {attempt.replica_id} is gone")
        else:
            pool.acquire(attempt)

    def forget(self, attempt: Attempt) -> None:
        """The attempt does not wait for a connection any more."""
        pool = self._pool(attempt)
        if pool is not None:
            pool.forget(attempt)

    def apply(self, change: FleetChange) -> None:
        """Follow the fleet: a pool for each replica, warm before the first request."""
        for replica_id in (*change.removed, *change.restarted):
            self.pools.pop(replica_id).close()
            self.metrics.forget(replica_id)
        for replica_id in (*change.added, *change.restarted):
            self.pools[replica_id] = self._new_pool(replica_id)

    @property
    def open_streams(self) -> int:
        return sum(len(agent.http2.streams) for agent in self.agents)

    def add_agent(self, agent: AgentConnection) -> None:
        self.agents.add(agent)
        self.on_counts()

    def remove_agent(self, agent: AgentConnection) -> None:
        self.agents.discard(agent)
        self.on_counts()
        if not self.agents and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def wait_idle(self) -> None:
        """Return when there is no connection of an agent. One caller at a time."""
        if self.agents:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def drain(self) -> None:
        """Tell every agent to take its next requests elsewhere."""
        for agent in list(self.agents):
            agent.drain()

    def close(self) -> None:
        for agent in list(self.agents):
            agent.close()
        for pool in (*self.pools.values(), self._control):
            pool.close()

    def _pool(self, attempt: Attempt) -> Pool | None:
        return self.pools.get(attempt.lease.replica_id) if attempt.lease else self._control
