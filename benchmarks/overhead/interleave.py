"""The order of a run: every peer in every shape once a round, so that what changes on the machine meets all alike."""

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.overhead.bench import Bench
from benchmarks.overhead.calm import calmest
from benchmarks.overhead.decision import decisions_us
from benchmarks.overhead.ends import Failed
from benchmarks.overhead.machine import Cores, Watch, allow_many_descriptors
from benchmarks.overhead.peers.base import Missing, Running
from benchmarks.overhead.results import Idle, Measured, Run
from benchmarks.overhead.shapes import IDLE, SHAPES, Shape, quick
from benchmarks.processes import NotReady

Say = Callable[[str], None]


class Plan(Struct, frozen=True):
    peers: Sequence[str]
    shapes: Sequence[str]
    rounds: int
    idle_rounds: int
    idle_streams: int
    idle_connections: int
    is_quick: bool

    def shape(self, name: str) -> Shape:
        return quick(SHAPES[name]) if self.is_quick else SHAPES[name]


class Interleaved:
    """One run."""

    def __init__(self, plan: Plan, cores: Cores, say: Say) -> None:
        self._plan = plan
        self._cores = cores
        self._say = say
        self._missing: dict[str, str] = {}
        self._measured: list[Measured] = []
        self._idle: list[Idle] = []

    def run(self) -> Run:
        plan = self._plan
        allow_many_descriptors()
        watch = Watch()
        with ExitStack() as stack:
            self._bench = Bench(stack, self._cores)
            if IDLE in plan.shapes:
                self._measure_idle()
            self._measure_shapes()
        return Run(
            machine=watch.machine(),
            began_at=watch.began_at,
            rounds=plan.rounds,
            titles={name: plan.shape(name).title for name in plan.shapes if name != IDLE},
            units={name: plan.shape(name).unit for name in plan.shapes if name != IDLE},
            missing=self._missing,
            measured=self._measured,
            idle=self._idle,
            decision_us=decisions_us(max(plan.rounds, 3)),
            decision_compiled_us=decisions_us(max(plan.rounds, 3), is_compiled=True),
        )

    def _measure_shapes(self) -> None:
        plan = self._plan
        names = [name for name in plan.shapes if name != IDLE]
        with ExitStack() as stack:
            peers = self._start_peers(stack) if names else {}
            for number in range(plan.rounds):
                for name in names:
                    self._measure_shape(peers, name, number)

    def _start_peers(self, stack: ExitStack) -> dict[str, Running]:
        peers: dict[str, Running] = {}
        for name in self._plan.peers:
            try:
                peers[name] = stack.enter_context(self._bench.started(name))
                self._bench.warm_up(peers[name])
            except (Missing, NotReady, Failed) as error:
                peers.pop(name, None)
                self._leave_out(name, error)
        return peers

    def _measure_shape(self, peers: dict[str, Running], shape: str, number: int) -> None:
        order = list(peers)
        # Each follows others in other rounds.
        random.Random(f"{shape} {number}").shuffle(order)
        for peer in order:
            if f"{peer}: {shape}" in self._missing:
                continue
            try:
                task = replace(self._plan.shape(shape).task, seed=number)
                result, stolen = calmest(partial(self._bench.measure, peers[peer], task), Watch)
            except Failed as error:
                self._leave_out(f"{peer}: {shape}", error)
                continue
            self._measured.append(Measured(number, shape, peer, result, stolen))
            self._say(f"round {number + 1}, {shape}, {peer}: {result.cpu_s[0]:.3f} s of CPU")

    def _measure_idle(self) -> None:
        plan = self._plan
        for number in range(plan.idle_rounds):
            for peer in plan.peers:
                if peer == "direct" or peer in self._missing:
                    continue
                try:
                    with self._bench.started(peer) as running:
                        idle = self._bench.hold(running, number, peer, plan.idle_connections, plan.idle_streams)
                except (Missing, NotReady) as error:
                    self._leave_out(peer, error)
                    continue
                except Failed as error:
                    self._leave_out(f"{peer}: {IDLE}", error)
                    continue
                self._idle.append(idle)
                self._say(
                    f"round {number + 1}, {IDLE}, {peer}: {idle.streams_bytes / idle.streams / 1e3:.1f} KB a stream"
                )

    def _leave_out(self, what: str, why: Exception) -> None:
        first, *more = str(why).splitlines()
        self._missing[what] = f"{first} {more[-1]}" if more else first
        self._say(f"{what}: {self._missing[what]}")
