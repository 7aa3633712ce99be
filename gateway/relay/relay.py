"""What the connections and exchanges of one worker share."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.config import AgentConnectionSettings, LimitSettings
from gateway.dialects.table import MethodTable
from gateway.dispatch.admission import Admission
from gateway.dispatch.own_load import OwnLoad
from gateway.dispatch.routes import Routes
from gateway.errors import MAY_SUCCEED_LATER, Failure
from gateway.fleet.fleet import FleetChange
from gateway.http2.headers import Field, FieldList, Fields
from gateway.http2.limits import Limits
from gateway.relay.agent_connection import AgentConnection
from gateway.relay.attempt import Attempt
from gateway.relay.handshakes import Handshakes
from gateway.relay.limits import agent_limits
from gateway.relay.memory import RequestMemory
from gateway.relay.metrics import RelayMetrics
from gateway.relay.pool import Pool
from gateway.relay.route_metrics import RouteTally
from gateway.relay.socket_connection import Shared
from gateway.relay.timer import Timer
from gateway.relay.witness import Witness
from gateway.rpc.status import Status, status_of


@dataclass(eq=False)
class Relay:
    """Built by the worker; it owns the agents' connections and the pools."""

    limits: LimitSettings
    methods: MethodTable
    routes: Routes
    admission: Admission
    metrics: RelayMetrics
    handshakes: Handshakes
    witness: Witness
    shared: Shared
    call_later: Callable[[float, Callable[[], None]], Timer]
    pushback: Callable[[], float]
    """After how many seconds to try again, where nothing better is known."""
    gateway_id: Field
    """Tells replicas whose requests they count."""
    own_load: OwnLoad
    control: Pool
    new_pool: Callable[[str], Pool]
    """From replica id."""
    memory: RequestMemory
    connections: AgentConnectionSettings
    """For those that begin from now on."""
    rng: random.Random
    on_agent_gone: Callable[[int], None]
    """A connection of an agent has ended; it is told of which network."""
    clock: Callable[[], float] = field(init=False)
    """Monotonic, seconds."""
    explain_to: frozenset[str] = field(init=False)
    """SPIFFE ids of agents that may ask why; `*`: all may."""
    introduction: Fields = field(init=False)
    """`gateway_id`, encoded once."""
    agents: set[AgentConnection] = field(default_factory=set["AgentConnection"], init=False)
    pools: dict[str, Pool] = field(default_factory=dict[str, Pool], init=False)
    agent_limits: Limits = field(init=False)
    is_refusing: bool = field(init=False)
    """Agents hold so much memory that no more work is taken (relay.sweeper)."""
    _idle: "asyncio.Future[None] | None" = field(init=False)

    def __post_init__(self) -> None:
        self.introduction = FieldList((self.gateway_id,))
        self.explain_to = frozenset()
        self.is_refusing = False
        self._idle = None
        self.clock = self.shared.clock
        self.limit(self.limits)

    def limit(self, limits: LimitSettings) -> None:
        """Go by these limits from now on; what has begun keeps those that it began with."""
        self.limits = limits
        self.memory.limit_bytes = limits.buffered_bytes
        self.agent_limits = agent_limits(limits)
        self.handshakes.limit = limits.handshakes

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` at an instant of `clock`."""
        return self.call_later(max(0.0, at - self.clock()), callback)

    def status_of(self, failure: Failure, route: RouteTally | None = None) -> Status:
        """Count a failure. Return what its agent is told: also when to try again, where that may help."""
        if failure.retry_after_s is None and failure.reason in MAY_SUCCEED_LATER:
            failure.retry_after_s = self.pushback()
        self.metrics.failed(failure, route)
        return status_of(failure)

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

    def apply(self, change: FleetChange, is_ready: Callable[[str], bool]) -> None:
        """Follow the fleet: a pool for each replica, warm before the first request."""
        for replica_id in (*change.removed, *change.restarted):
            self.pools.pop(replica_id).close()
            self.metrics.forget(replica_id)
        for replica_id in (*change.added, *change.restarted):
            self.pools[replica_id] = self.new_pool(replica_id)
        for replica_id in (*change.added, *change.restarted, *change.changed):
            if is_ready(replica_id) and not self.pools[replica_id].ready_connections:
                self.pools[replica_id].warm()

    def ask(self, replica_id: str) -> None:
        """Find out whether it still answers, and end the connections on which it does not."""
        if replica_id in self.pools:
            self.pools[replica_id].ask(self.clock())

    @property
    def open_streams(self) -> int:
        return sum(len(agent.http2.streams) for agent in self.agents)

    def add_agent(self, agent: AgentConnection) -> None:
        self.agents.add(agent)

    def remove_agent(self, agent: AgentConnection) -> None:
        self.agents.remove(agent)
        self.on_agent_gone(agent.network)
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
        for pool in (*self.pools.values(), self.control):
            pool.close()

    def _pool(self, attempt: Attempt) -> Pool | None:
        return self.pools.get(attempt.lease.replica_id) if attempt.lease else self.control
