"""What a worker counts of its exchanges."""

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.errors import Failure, Limit
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Ledger
from gateway.metrics import (
    INTER_TOKEN_BOUNDS_S,
    LIMITS_HIT,
    TIME_TO_FIRST_TOKEN_BOUNDS_S,
    Counter,
    Histogram,
    Registry,
)
from gateway.relay.route_metrics import RouteMetrics, RouteTally
from gateway.rpc.status import Code

if TYPE_CHECKING:
    from gateway.relay.exchange import Exchange
    from gateway.relay.relay import Relay

_PREFIX: Final = "inference_gateway_"


class TokenMetrics(NamedTuple):
    """Children of the token path: an attempt looks them up once."""

    time_to_first_token: Histogram
    inter_token: Histogram
    messages: Counter


class RelayMetrics:
    """All that a worker counts."""

    def __init__(self, registry: Registry) -> None:
        name = _PREFIX.__add__
        self._inter_token = registry.histogram(
            name("inter_token_seconds"), "Between two DATA frames of one response.", INTER_TOKEN_BOUNDS_S, "replica"
        )
        self._time_to_first_token = registry.histogram(
            name("time_to_first_token_seconds"),
            "From request headers to response data.",
            TIME_TO_FIRST_TOKEN_BOUNDS_S,
            "replica",
        )
        self._messages = registry.counter(name("messages_total"), "Whole response messages relayed.", "replica")
        self._tokens: dict[str, TokenMetrics] = {}
        self.streams = registry.gauge(name("streams_open"), "Exchanges that have not ended.").child()
        self.parked = registry.gauge(name("requests_parked"), "Requests that wait for a replica.").child()
        self.agent_connections = registry.gauge(name("agent_connections_open"), "Connections of agents.").child()
        self.lease_audit = registry.gauge(
            name("lease_audit"), "Sum of leases minus counters: anything but 0 is a defect."
        ).child()
        self.panic = registry.gauge(
            name("panic_models"), "Models of which so few replicas are ready that suspect and ejected ones are used."
        ).child()
        self.request_bytes_held = registry.gauge(name("request_bytes_held"), "Bytes of requests held.").child()
        self.replica_connections = registry.gauge(
            name("replica_connections_open"), "Connections that are up.", "replica"
        )
        self.in_flight = registry.gauge(name("requests_in_flight"), "Leases held.", "replica")
        self.prefill_tokens = registry.gauge(
            name("prefill_tokens_in_flight"), "Uncached prompt tokens of leases before their first token.", "replica"
        )
        self.routes = RouteMetrics(registry)
        self._requests = registry.counter(
            name("requests_total"), "Exchanges ended, by what the agent was told.", "method", "status", "replica"
        )
        self._failures = registry.counter(
            name("failures_total"), "Exchanges that the gateway itself ended, by reason.", "reason"
        )

        self.tasks = registry.gauge(name("tasks"), "Running on the event loop.").child()
        self.held_bytes = registry.gauge(
            name("held_bytes"), "What agents hold of memory, estimated once a second; the limits memory_*_bytes."
        ).child()
        self._limits = registry.counter(*LIMITS_HIT)
        self._replica_limits = registry.counter(
            name("replica_limits_hit_total"), "Connections to replicas ended by settings.limits.", "replica", "limit"
        )

    def tokens_of(self, replica_id: str) -> TokenMetrics:
        """Return what is counted of one replica's responses."""
        tokens = self._tokens.get(replica_id)
        if tokens is None:
            tokens = self._tokens[replica_id] = TokenMetrics(
                self._time_to_first_token.child(replica_id),
                self._inter_token.child(replica_id),
                self._messages.child(replica_id),
            )
        return tokens

    def finished(self, exchange: "Exchange", status: str, replica_id: str) -> None:
        """`status` is the value of grpc-status; `replica_id` is empty where none was tried."""
        name = _STATUS_NAMES.get(status, "UNKNOWN")
        self._requests.child(exchange.method.label, name, replica_id).add(1)
        if exchange.route is not None:
            exchange.route.ended(name, exchange.relay.clock() - exchange.started_at)

    def update(self, relay: "Relay", ledger: Ledger, fleet: Fleet) -> None:
        """Set what is measured only when somebody asks."""
        self.panic.set(len(fleet.in_panic()))
        self.streams.set(relay.open_streams)
        self.parked.set(len(relay.admission))
        self.agent_connections.set(len(relay.agents))
        self.request_bytes_held.set(relay.memory.held_bytes)
        self.lease_audit.set(ledger.audit())
        self.tasks.set(len(asyncio.all_tasks()))
        held = ledger.held()
        for replica_id, pool in relay.pools.items():
            self.replica_connections.child(replica_id).set(pool.ready_connections)
            requests, prefill_tokens = held.get(replica_id, (0, 0))
            self.in_flight.child(replica_id).set(requests)
            self.prefill_tokens.child(replica_id).set(prefill_tokens)

    def forget(self, replica_id: str) -> None:
        """The replica is gone, and its gauges with it."""
        self._tokens.pop(replica_id, None)
        self.replica_connections.remove(replica_id)
        self.in_flight.remove(replica_id)
        self.prefill_tokens.remove(replica_id)

    def failed(self, failure: Failure, route: RouteTally | None = None) -> None:
        """`route` is None before the request has one."""
        if route is not None:
            route.failed(failure)
        self._failures.child(failure.reason.value).add(1)
        if failure.limit is not None:
            self.met(failure.limit)

    def met(self, limit: Limit) -> None:
        """An agent has met a limit: a request was refused, a stream or a connection ended."""
        self._limits.child(limit.value).add(1)

    def replica_met(self, replica_id: str, limit: Limit) -> None:
        """A replica has met a limit: a connection to it has ended."""
        self._replica_limits.child(replica_id, limit.value).add(1)


_STATUS_NAMES: Final = {str(int(code)): code.name for code in Code}
