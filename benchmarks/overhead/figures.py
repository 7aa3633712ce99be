"""What a run's measurements say, by shape and peer."""

import random
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from benchmarks.overhead.latency import Histogram, pooled, quantile_us
from benchmarks.overhead.peers import PEERS
from benchmarks.overhead.results import Run
from benchmarks.overhead.tasks import Result

DIRECT = "direct"
RESAMPLES = 1_000
KEPT_UP = 0.98
"""Of what was due, this much must have come for a peer to keep up with a rate."""


class Spread(Struct, frozen=True):
    """One figure over all rounds."""

    median: float
    low: float
    high: float


class Interval(Struct, frozen=True):
    """Of 95 %."""

    value: float
    low: float
    high: float


class Figures:
    def __init__(self, run: Run) -> None:
        self.run = run
        self._results: dict[tuple[str, str], dict[int, Result]] = {}
        for one in run.measured:
            self._results.setdefault((one.shape, one.peer), {})[one.round] = one.result
        self.shapes = [shape for shape in run.titles if any(key[0] == shape for key in self._results)]
        measured = {one.peer for one in [*run.measured, *run.idle]}
        self.peers = [peer for peer in PEERS if peer in measured]

    def results(self, shape: str, peer: str) -> Sequence[Result]:
        return list(self._results.get((shape, peer), {}).values())

    def done(self, shape: str, result: Result) -> float:
        """Return how many messages or RPCs it was."""
        return result.rpcs if self.run.units[shape] == "RPC" else result.messages

    def cpu_us(self, shape: str, peer: str, group: int = 0) -> Spread | None:
        """Return CPU time a message or an RPC: of the peer, of the replicas (1) or of the agents (2)."""
        return spread(self._cpu_us(shape, peer, group).values())

    def core_share(self, shape: str, peer: str) -> Spread | None:
        return spread(result.cpu_s[0] / result.wall_s for result in self.results(shape, peer))

    def rate(self, shape: str, peer: str) -> Spread | None:
        """Return messages or RPCs a second, as measured."""
        return spread(self.done(shape, result) / result.wall_s for result in self.results(shape, peer))

    def ratio(self, shape: str, peer: str, other: str, other_shape: str = "") -> Spread | None:
        """Return the ratio of CPU times, taken within each round."""
        own, others = self._cpu_us(shape, peer), self._cpu_us(other_shape or shape, other)
        return spread(own[number] / others[number] for number in own.keys() & others.keys() if others[number])

    def latency_us(self, shape: str, peer: str, quantile: float) -> float:
        """Return a quantile over all rounds; nan where there is none."""
        return quantile_us(pooled(self._latencies(shape, peer).values()), quantile)

    def latency_difference_us(self, shape: str, peer: str, other: str, quantile: float) -> Interval | None:
        """Return by how much a peer's quantile is above another's. Rounds are drawn with replacement, the same for
        both, so that what a round did to both cancels out; what the way without a proxy takes cancels out too."""
        own, others = self._latencies(shape, peer), self._latencies(shape, other)
        rounds = sorted(own.keys() & others.keys())
        if not rounds:
            return None
        rng = random.Random(0)
        draws = [rng.choices(rounds, k=len(rounds)) for _ in range(RESAMPLES)]
        differences = sorted(_difference(own, others, draw, quantile) for draw in draws)
        low, high = differences[int(0.025 * RESAMPLES)], differences[int(0.975 * RESAMPLES) - 1]
        return Interval(_difference(own, others, rounds, quantile), low, high)

    def keeps_up(self, shape: str, peer: str) -> bool:
        results = self.results(shape, peer)
        return all(sum(result.latency.values()) >= KEPT_UP * result.due for result in results if result.due)

    def has_latency(self, shape: str) -> bool:
        return any(self._latencies(shape, peer) for peer in self.peers)

    def stream_bytes(self, peer: str) -> Spread | None:
        return spread(idle.streams_bytes / idle.streams for idle in self.run.idle if idle.peer == peer)

    def connection_bytes(self, peer: str) -> Spread | None:
        return spread(idle.connections_bytes / idle.connections for idle in self.run.idle if idle.peer == peer)

    def rest_bytes(self, peer: str) -> Mapping[str, Spread]:
        """Return the RSS of each process of a peer that has nothing to do."""
        idles = [idle for idle in self.run.idle if idle.peer == peer]
        processes = dict.fromkeys(name for idle in idles for name in idle.at_rest)
        found = {name: spread(idle.at_rest[name].rss for idle in idles) for name in processes}
        return {name: one for name, one in found.items() if one is not None}

    def _cpu_us(self, shape: str, peer: str, group: int = 0) -> dict[int, float]:
        results = self._results.get((shape, peer), {})
        done = {number: self.done(shape, result) for number, result in results.items()}
        return {number: results[number].cpu_s[group] / count * 1e6 for number, count in done.items() if count}

    def _latencies(self, shape: str, peer: str) -> dict[int, Histogram]:
        results = self._results.get((shape, peer), {})
        return {number: result.latency for number, result in results.items() if result.latency}


def spread(values: Iterable[float]) -> Spread | None:
    found = list(values)
    return Spread(median(found), min(found), max(found)) if found else None


def _difference(
    own: Mapping[int, Histogram], others: Mapping[int, Histogram], rounds: Sequence[int], quantile: float
) -> float:
    first, second = (quantile_us(pooled(of[number] for number in rounds), quantile) for of in (own, others))
    return first - second
