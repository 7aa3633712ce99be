"""What control counts itself."""

from importlib.metadata import version

from gateway.channel.messages import Outcome
from gateway.control.fleet_owner import FleetOwner
from gateway.metrics import LIMITS_HIT, Family, ProcessMetrics, Registry
from gateway.types import ReplicaState

_SHOWN = tuple(state for state in ReplicaState if state is not ReplicaState.GONE)


class ControlMetrics:
    def __init__(self, owner: FleetOwner) -> None:
        self._owner = owner
        self.registry = registry = Registry()
        self._process = ProcessMetrics(registry, "control")
        info = registry.gauge("inference_gateway_build_info", "Always 1; the version is a label.", "version")
        info.child(version("inference-gateway")).set(1)
        self.restarts = registry.counter(
            "inference_gateway_worker_restarts_total", "Workers that ended unasked and were replaced."
        ).child()
        self.accepted = registry.counter(
            "inference_gateway_connections_accepted_total", "Agents' connections given to a worker."
        ).child()
        self.limits_hit = registry.counter(*LIMITS_HIT)
        self._outcomes = registry.counter(
            "inference_gateway_outcomes_total", "Attempts ended, as far as they say something of it.", "replica", "kind"
        )
        self._version = registry.gauge("inference_gateway_fleet_version", "Raised at each change.").child()
        self._states = registry.gauge(
            "inference_gateway_replica_state", "1 for the state that it is in, 0 for all others.", "replica", "state"
        )
        self._shown: set[str] = set()

    def heard(self, outcome: Outcome) -> None:
        self._outcomes.child(outcome.replica_id, outcome.kind.value).add(outcome.count)

    def families(self) -> list[Family]:
        """Return all, as they are now."""
        self._process.update()
        self._version.set(self._owner.version)
        states = {replica.record.id: replica.record.state for replica in self._owner.replicas}
        for state in _SHOWN:
            for replica_id in self._shown - states.keys():
                self._states.remove(replica_id, state.name.lower())
            for replica_id, current in states.items():
                self._states.child(replica_id, state.name.lower()).set(current is state)
        self._shown = set(states)
        return self.registry.dump()
