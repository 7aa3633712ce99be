"""Runs the demo: starts everything, lets agents work, kills a replica half way, starts it again, reports."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.live import Live

from benchmarks.cluster import Cluster
from benchmarks.demo.report import report
from benchmarks.demo.setups import Setup
from benchmarks.demo.view import View
from benchmarks.demo.watch import Watch, watching
from benchmarks.demo.workload import Workload
from benchmarks.processes import NotReady, Processes
from gateway.client import Client

_ASK_EVERY_S = 0.1
_DRAW_EVERY_S = 0.25
_WRITE_EVERY_S = 1.0
_DEAD_FOR_S = 1.5
"""Between the kill and the new start, so that it can be seen."""
_SEED = 1


async def run(setup: Setup, console: Console) -> int:
    """Return the exit code: 0 when every request was answered in full. Raises NotReady, or TimeoutError."""
    with TemporaryDirectory(prefix="inference-gateway-demo-") as folder, Processes(Path(folder)) as processes:
        cluster = Cluster(processes, setup.cluster, Path(folder))
        console.print(f"starting {setup.cluster.replicas} replicas and a gateway ...")
        await asyncio.to_thread(cluster.start)
        async with (
            Client(cluster.address, model=setup.cluster.model) as client,
            watching(cluster.admin_address, cluster.metrics_address) as watch,
        ):
            return await Demo(setup, cluster, client, watch, console).run()


class Demo:
    """One run, once everything is up."""

    def __init__(self, setup: Setup, cluster: Cluster, client: Client, watch: Watch, console: Console) -> None:
        self._setup = setup
        self._cluster = cluster
        self._watch = watch
        self._console = console
        self._workload = Workload(client, setup.workload, time.monotonic, _SEED)
        self._tally = self._workload.tally
        self._view = View(setup.title, self._tally, watch, time.monotonic)
        self._lives = Counter({member.name: 1 for member in cluster.members})

    async def run(self) -> int:
        await self._until(self._are_all_ready)
        async with asyncio.timeout(self._setup.longest_s), asyncio.TaskGroup() as tasks:
            begun_at = time.monotonic()
            showing = tasks.create_task(self._draw() if self._console.is_terminal else self._write())
            accident = tasks.create_task(self._have_an_accident())
            await self._workload.run()
            elapsed_s = time.monotonic() - begun_at
            await accident
            showing.cancel()
        await self._watch.look()
        self._console.print(report(self._tally, self._watch.replicas.values(), elapsed_s, self._lives))
        for failure in self._tally.failures:
            self._console.print(f"failed: {failure}", style="red")
        return 0 if len(self._tally.done) == self._tally.planned else 1

    async def _have_an_accident(self) -> None:
        """Half way kill the busiest replica, and start it again a moment later."""
        await self._until(lambda: 2 * self._tally.ended >= self._tally.planned)
        busiest = max(self._watch.replicas.values(), key=lambda replica: replica.in_flight)
        member = next(member for member in self._cluster.members if member.name == busiest.name)
        await asyncio.to_thread(member.process.kill)
        self._note(f"{member.name} killed with {busiest.in_flight} streams on it", "bold red")
        await asyncio.sleep(_DEAD_FOR_S)
        self._cluster.restart(member)
        self._lives[member.name] += 1
        self._note(f"{member.name} started again on {member.address}", "yellow")
        await self._until(self._are_all_ready)
        self._note(f"{member.name} is ready again", "green")

    async def _until(self, is_so: Callable[[], bool]) -> None:
        timeout_s = self._setup.cluster.ready_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._watch.look()
                while not is_so():
                    await asyncio.sleep(_ASK_EVERY_S)
                    await self._watch.look()
        except TimeoutError:
            last_words = self._cluster.gateway.last_lines()
            raise NotReady(f"waited {timeout_s:g} s for nothing; the gateway's last words:\n{last_words}") from None

    def _are_all_ready(self) -> bool:
        states = [replica.state for replica in self._watch.replicas.values()]
        return len(states) == self._setup.cluster.replicas and set(states) == {"ready"}

    async def _draw(self) -> None:
        with Live(self._view.picture(), console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    await asyncio.sleep(_DRAW_EVERY_S)
                    await self._watch.look()
                    self._view.sample()
                    live.update(self._view.picture(), refresh=True)
            finally:
                live.update(self._view.picture(), refresh=True)

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY_S)
            await self._watch.look()
            self._view.sample()
            self._console.print(self._view.line(), soft_wrap=True)

    def _note(self, text: str, style: str) -> None:
        event = self._view.note(text, style)
        if not self._console.is_terminal:
            self._console.print(event)
