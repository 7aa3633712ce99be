"""What is left behind: memory, descriptors, tasks and leases of the worker, over the streams that it has served."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import linear_regression

from benchmarks.cluster import Cluster
from benchmarks.observe import Samples, samples, total

MIB = 1024 * 1024
GROWTH_BYTES_A_STREAM = MIB / 10_000
NOISE_BYTES = 3 * MIB
"""What a short run cannot tell from growth: an arena more or less, a dictionary resized."""
_SETTLE_S = 30.0
_CONNECTIONS = ("inference_gateway_agent_connections_open", "inference_gateway_replica_connections_open")


@dataclass(frozen=True)
class Look:
    """One moment of the worker, and the memory of control."""

    at_s: float
    streams: int
    """Served so far."""
    rss_bytes: int
    control_rss_bytes: int
    open_streams: int
    descriptors: int
    """But for those of connections that are up."""
    tasks: int
    leases: int


def look(cluster: Cluster, at_s: float) -> Look:
    found = samples(cluster.metrics_address)
    return Look(
        at_s=at_s,
        streams=_number(found, "inference_gateway_requests_total"),
        rss_bytes=_of_process(found, "resident_bytes"),
        control_rss_bytes=_of_process(found, "resident_bytes", "control"),
        open_streams=_number(found, "inference_gateway_streams_open"),
        descriptors=_of_process(found, "open_descriptors") - _number(found, *_CONNECTIONS),
        tasks=_number(found, "inference_gateway_tasks"),
        leases=_number(found, "inference_gateway_requests_in_flight"),
    )


async def whole(cluster: Cluster, give_up_at: float) -> None:
    """Wait until every replica is ready, or an instant of time.monotonic: one that is starting is being connected to,
    which is a task; and to kill all of them at once would leave nothing to soak."""
    while time.monotonic() < give_up_at:
        found = await asyncio.to_thread(samples, cluster.metrics_address)
        if total(found, "inference_gateway_replica_state", state="ready") == len(cluster.members):
            return
        await asyncio.sleep(0.5)


async def settled(cluster: Cluster, before: Look, at_s: float) -> Look:
    """Return what is left when all agents have gone, after a while at the most."""
    give_up_at = time.monotonic() + _SETTLE_S
    while True:
        now = await asyncio.to_thread(look, cluster, at_s)
        if not leftovers(now, before) or time.monotonic() > give_up_at:
            return now
        await asyncio.sleep(0.5)


def leftovers(now: Look, before: Look) -> list[str]:
    """Return what there is more of than before the first agent came."""
    found = {
        "streams": now.open_streams - before.open_streams,
        "leases": now.leases - before.leases,
        "tasks": now.tasks - before.tasks,
        "descriptors": now.descriptors - before.descriptors,
    }
    return [f"{count} {what} left" for what, count in found.items() if count > 0]


@dataclass(frozen=True)
class Growth:
    """Of one process's memory, after the first third, in which caches fill."""

    bytes_a_stream: float
    """The slope of a line through all looks."""
    streams: int

    @property
    def is_flat(self) -> bool:
        return self.bytes_a_stream * self.streams <= max(NOISE_BYTES, GROWTH_BYTES_A_STREAM * self.streams)

    def __str__(self) -> str:
        return f"{self.bytes_a_stream * 10_000 / MIB:+.2f} MB per 10,000 streams"


def growth(looks: Sequence[Look], rss_bytes: Callable[[Look], int]) -> Growth:
    rest = looks[len(looks) // 3 :]
    line = linear_regression([look.streams for look in rest], [rss_bytes(look) for look in rest])
    return Growth(line.slope, rest[-1].streams - rest[0].streams)


def _of_process(found: Samples, what: str, process: str = "worker-0") -> int:
    return int(total(found, f"inference_gateway_process_{what}", process=process))


def _number(found: Samples, *names: str) -> int:
    return int(sum(total(found, name) for name in names))
