"""What one peer does wrong, however much of it, costs no other agent an answer, and no unbounded memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.attacks.attacks import ATTACKS
from benchmarks.attacks.siege import ATTACKED_MODEL, MODEL, Siege
from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes
from gateway.errors import Limit
from tests.end_to_end.conftest import SIMULATED
from tests.end_to_end.observe import samples, total

pytestmark = pytest.mark.e2e

KIB = 1024
MIB = 1024 * KIB
ATTACK_S = 1.0
TRIES = 3
"""An attacker that is given no time does not meet its limit."""
# Lower than the defaults, so that seconds on a busy machine are enough to meet them.
LIMITS = {
    "buffered_bytes": 64 * MIB,
    "resets": {"burst": 200, "per_s": 10},
    "header_bytes_rate": {"burst": 64 * KIB, "per_s": 16 * KIB},
    "idle_frames": {"burst": 500, "per_s": 100},
    "streams_per_connection": 100,
}
GROWTH_BYTES = 128 * MIB
"""What is buffered, and as much again for copies under way and what Python does not give back."""


@pytest.fixture
def besieged(tmp_path: Path) -> Iterator[tuple[Cluster, Siege]]:
    with Processes(tmp_path) as processes:
        # A machine that is busy with an attacker and other tests gives a worker, or a replica, no time for seconds.
        patient = {"keepalive_timeout_s": 60}
        settings = {"limits": LIMITS, "worker_silence_s": 60, "connect": patient, "probe": patient}
        plan = Plan(2, MODEL, models={2: ATTACKED_MODEL}, engine_arguments=SIMULATED, settings=settings)
        cluster = Cluster(processes, plan, tmp_path)
        cluster.start()
        yield cluster, Siege(cluster, processes)


async def test_no_attack_costs_anybody_else_an_answer(besieged: tuple[Cluster, Siege]) -> None:
    cluster, siege = besieged
    assert {name: hurt for name in ATTACKS if (hurt := await what_it_hurts(cluster, siege, name))} == {}
    found = samples(cluster)
    assert total(found, "inference_gateway_worker_restarts_total") == 0
    assert total(found, "inference_gateway_lease_audit") == 0
    # The same settings hold replicas to what agents make them do.
    assert total(found, "inference_gateway_replica_limits_hit_total") == 0


async def what_it_hurts(cluster: Cluster, siege: Siege, name: str) -> list[str]:
    meets = ATTACKS[name].meets
    met_before = _met(cluster, meets)
    hurt: list[str] = []
    for _ in range(TRIES):
        outcome = await siege.run(name, ATTACK_S)
        hurt += outcome.failures[:3]
        if not outcome.latencies_s:
            hurt.append("nobody was served")
        if outcome.rss_peak_bytes - outcome.rss_before_bytes > GROWTH_BYTES:
            hurt.append(f"memory grew to {outcome.rss_peak_bytes // MIB} MiB")
        if meets is None or _met(cluster, meets) > met_before:
            return hurt
    return [*hurt, f"nothing met the limit {meets}"]


def _met(cluster: Cluster, limit: Limit | None) -> float:
    return total(samples(cluster), "inference_gateway_limits_hit_total", limit=limit or "")
