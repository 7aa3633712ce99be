"""The fleet as all sources together name it. A source that fails, or names nobody, keeps what it last named."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from gateway import logs
from gateway.config import ReplicaSettings, Settings, Source
from gateway.control.backoff import Backoff
from gateway.control.discovery.sources import Found, SourceFailed, watch_of
from gateway.metrics import Family, Registry

_log = logging.getLogger(__name__)

_BACKOFF_S = (0.5, 30.0)


class Discovery:
    """`run` watches, `found` tells, `follow` changes what is watched: sources that stay the same are not disturbed."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._static: Found = ()
        self._watched: dict[str, _Watched] = {}
        self._changed = asyncio.Event()
        self._rewired = asyncio.Event()
        self._registry = registry = Registry()
        self._ages = registry.gauge(
            "inference_gateway_discovery_age_seconds",
            "Since the source last said who there is, and named any.",
            "source",
        )
        self._counts = registry.gauge("inference_gateway_discovery_replicas", "Replicas it named then.", "source")
        self._failures = registry.counter(
            "inference_gateway_discovery_failures_total", "Times that it could not say, or named nobody.", "source"
        )
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Watch these sources from now on, and no other. Raises SettingsError, and then nothing has changed."""
        before, wanted = self._watched, dict[str, _Watched]()
        for source in settings.discovery:
            old = before.get(source.label)
            wanted[source.label] = old if old and old.settings == source else _Watched(source, self._on_answer)
        self._static, self._watched = settings.replicas, wanted
        for name in before.keys() - wanted.keys():
            self._ages.remove(name)
            self._counts.remove(name)
        self._changed.set()
        self._rewired.set()

    async def run(self) -> None:
        """Never returns."""
        running: dict[_Watched, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._rewired.clear()
                wanted = set(self._watched.values())
                for watched in running.keys() - wanted:
                    running.pop(watched).cancel()
                for watched in wanted - running.keys():
                    running[watched] = tasks.create_task(watched.run())
                await self._rewired.wait()

    async def found(self) -> AsyncGenerator[Sequence[ReplicaSettings], None]:
        """Yield the whole fleet, now and at each change. Of replicas with one id the first source's is meant."""
        while True:
            self._changed.clear()
            fleet = dict[str, ReplicaSettings]()
            for replica in (*self._static, *(each for watched in self._watched.values() for each in watched.found)):
                fleet.setdefault(replica.id or replica.address, replica)
            yield tuple(fleet.values())
            await self._changed.wait()

    def families(self) -> list[Family]:
        for watched in self._watched.values():
            self._counts.child(watched.name).set(len(watched.found))
            if watched.answered_at is not None:
                self._ages.child(watched.name).set(self._clock() - watched.answered_at)
        return self._registry.dump()

    def _on_answer(self, watched: "_Watched", found: Found | None) -> None:
        """None: it failed."""
        if found is None or (watched.found and not found):
            self._failures.child(watched.name).add()
            return
        watched.answered_at = self._clock()
        if watched.found != found:
            _log.info(logs.line("discovered", source=watched.name, replicas=len(found), before=len(watched.found)))
            watched.found = found
            self._changed.set()


class _Watched:
    """One source: what it last said, and when."""

    def __init__(self, settings: Source, on_answer: "Callable[[_Watched, Found | None], None]") -> None:
        self.name = settings.label
        self.settings = settings
        self.found: Found = ()
        self.answered_at: float | None = None
        self._watch = watch_of(settings)
        self._on_answer = on_answer
        self._trouble = ""

    async def run(self) -> None:
        """Watch it, however often that fails."""
        backoff = Backoff(*_BACKOFF_S, 0.2, random.Random(self.name))
        while True:
            try:
                async with aclosing(self._watch()) as answers:
                    async for found in answers:
                        backoff.reset()
                        self._say("" if found or not self.found else "it names nobody")
                        self._on_answer(self, found)
            except SourceFailed as error:
                self._say(str(error))
            except Exception:  # noqa: BLE001 (what a library makes of broken credentials is not all known)
                _log.exception(logs.line("discovery_defect", source=self.name))
            self._on_answer(self, None)
            await asyncio.sleep(backoff.next_s())

    def _say(self, trouble: str) -> None:
        """Log the first of each trouble, and its end."""
        if trouble and trouble != self._trouble:
            _log.warning(logs.line("discovery_failed", source=self.name, reason=trouble, kept=len(self.found)))
        elif self._trouble and not trouble:
            _log.info(logs.line("discovery_recovered", source=self.name))
        self._trouble = trouble
