import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config import FileSource, ReplicaSettings, Settings
from gateway.control.discovery import discovery as discovery_module
from gateway.control.discovery.discovery import Discovery

ALWAYS = ReplicaSettings(address="always:1")


class Following:
    def __init__(self, tmp_path: Path) -> None:
        self.files = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
        self.now_s = 100.0
        self.discovery = Discovery(self.settings(0), lambda: self.now_s)
        self.fleet: list[str] = []
        self.changes = 0

    def settings(self, *numbers: int) -> Settings:
        sources = tuple(FileSource(path=str(self.files[number]), interval_s=0.01) for number in numbers)
        return Settings(replicas=(ALWAYS,), discovery=sources)

    def write(self, number: int, *names: str) -> None:
        new = self.files[number].with_suffix(".new")
        new.write_text("".join(f"- address: '{name}:1'\n" for name in names))
        new.replace(self.files[number])

    async def follow(self) -> None:
        async for found in self.discovery.found():
            self.fleet = [replica.address.removesuffix(":1") for replica in found]
            self.changes += 1

    async def until(self, *fleet: str) -> None:
        await self.until_so(lambda: self.fleet == list(fleet))

    async def until_so(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not is_so():
                await asyncio.sleep(0.01)

    def metric(self, name: str, source: int) -> float | None:
        label = f"file:{self.files[source]}"
        values = {
            sample.labels[0]: sample.values[0]
            for family in self.discovery.families()
            if family.name == f"inference_gateway_discovery_{name}"
            for sample in family.samples
        }
        return values.get(label)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "_BACKOFF_S", (0.01, 0.02))


@asynccontextmanager
async def following(tmp_path: Path) -> AsyncGenerator[Following, None]:
    made = Following(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(made.discovery.run()), tasks.create_task(made.follow())]
        try:
            yield made
        finally:
            for task in running:
                task.cancel()


async def test_the_fleet_is_what_settings_and_sources_name_each_once(tmp_path: Path, quick: None) -> None:
    async with following(tmp_path) as them:
        them.write(0, "a", "always")
        await them.until("always", "a")
        them.write(1, "b", "a")
        them.discovery.follow(them.settings(0, 1))
        await them.until("always", "a", "b")
        them.discovery.follow(them.settings(1))
        await them.until("always", "b", "a")
        assert them.metric("replicas", 0) is None


async def test_an_empty_answer_and_a_failure_keep_what_was_known(
    tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with following(tmp_path) as them:
        them.write(0, "a", "b")
        await them.until("always", "a", "b")
        them.now_s = 200.0
        await them.until_so(lambda: them.metric("age_seconds", 0) == 0)
        them.write(0)
        await them.until_so(lambda: "it names nobody" in caplog.text)
        them.files[0].unlink()
        await them.until_so(lambda: "No such file" in caplog.text)
        them.now_s = 230.0
        assert them.metric("age_seconds", 0) == 30.0
        assert them.metric("replicas", 0) == 2
        assert (them.metric("failures_total", 0) or 0) >= 2
        assert them.fleet == ["always", "a", "b"]
        them.write(0, "c")
        await them.until("always", "c")


async def test_what_has_not_changed_is_not_told_again(tmp_path: Path, quick: None) -> None:
    async with following(tmp_path) as them:
        them.write(0, "a")
        await them.until("always", "a")
        before = them.changes
        them.now_s = 150.0
        await them.until_so(lambda: them.metric("age_seconds", 0) == 0)
        assert them.changes == before


async def test_a_source_that_stays_is_not_disturbed_by_a_change_of_others(tmp_path: Path, quick: None) -> None:
    async with following(tmp_path) as them:
        them.write(0, "a")
        await them.until("always", "a")
        them.files[0].unlink()
        await them.until_so(lambda: (them.metric("failures_total", 0) or 0) > 0)
        them.write(1, "b")
        them.discovery.follow(them.settings(0, 1))
        await them.until("always", "a", "b")
