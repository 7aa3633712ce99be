"""What is looked at now and then, so that the way of a token need not: slow peers, silent replicas, memory.

A total that is a second old is exact enough: what arrives in between is bounded by windows."""

from gateway.errors import Limit
from gateway.relay.agent_connection import AgentConnection
from gateway.relay.relay import Relay
from gateway.relay.timer import SWEEP_INTERVAL_S

__all__ = ["SWEEP_INTERVAL_S", "Sweeper"]


class Sweeper:
    """Call `sweep` every SWEEP_INTERVAL_S."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def sweep(self) -> None:
        now_s = self._relay.clock()
        for pool in tuple(self._relay.pools.values()):
            pool.sweep(now_s)
        held = [(agent.sweep(now_s), agent) for agent in tuple(self._relay.agents)]
        self._judge(held)

    def _judge(self, held: list[tuple[int, AgentConnection]]) -> None:
        """Above the soft limit take no new work; above the hard one make room, from those that hold most."""
        relay, limits = self._relay, self._relay.limits
        total_bytes = sum(size for size, _ in held)
        relay.metrics.held_bytes.set(total_bytes)
        if total_bytes > limits.memory_hard_bytes:
            for size, agent in sorted(held, key=lambda each: each[0], reverse=True):
                if total_bytes <= limits.memory_soft_bytes:
                    break
                agent.end(Limit.MEMORY_HARD_BYTES)
                total_bytes -= size
        relay.is_refusing = total_bytes > limits.memory_soft_bytes
