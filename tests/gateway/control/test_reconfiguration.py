import asyncio
from pathlib import Path

import pytest

from gateway.config import LIVE, RouteSettings, Settings, ZoneSettings
from gateway.control.reconfiguration import Reconfiguration, Reconfigured
from gateway.control.settings_watch import watch_settings
from gateway.errors import SettingsError
from gateway.metrics import Registry


class World:
    """Control and workers, as far as a change of settings goes."""

    def __init__(self) -> None:
        self.file: Settings | SettingsError = Settings()
        self.worker_says = ""
        self.events: list[str] = []
        self.registry = Registry()
        self.reconfiguration = Reconfiguration(Settings(), self.read, self.prepare, self.apply, self.registry)

    def read(self) -> Settings:
        if isinstance(self.file, SettingsError):
            raise self.file
        return self.file

    async def prepare(self, settings: Settings) -> None:
        self.events.append(f"prepare {settings.policy}")
        await asyncio.sleep(0)
        if self.worker_says:
            raise SettingsError(self.worker_says)

    def apply(self, old: Settings, new: Settings) -> None:
        self.events.append(f"apply {old.policy} {new.policy}")

    def metrics(self) -> dict[str, float]:
        samples = [sample for family in self.registry.dump() for sample in family.samples]
        return {"".join(sample.labels) or "is_refused": sample.values[0] for sample in samples}


async def test_what_changed_is_prepared_by_all_then_applied() -> None:
    world = World()
    world.file = Settings(policy="random", grace_s=3)
    assert await world.reconfiguration.reload("SIGHUP") == Reconfigured(("policy", "grace_s"))
    assert world.events == ["prepare random", "apply least_connection random"]
    assert world.reconfiguration.settings is world.file
    assert await world.reconfiguration.reload("SIGHUP") == Reconfigured(())
    assert world.events[2:] == ["prepare random"]
    assert world.metrics() == {"applied": 1, "unchanged": 1, "refused": 0, "is_refused": 0}


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (SettingsError("gateway.yaml:3: polcy: unknown setting"), "gateway.yaml:3: polcy: unknown setting"),
        (Settings(listen="127.0.0.1:1", workers=1, log_level="debug"), "cannot change while the gateway runs: listen"),
        (Settings(policy="rondom"), "policy: 'rondom' is"),
        (Settings(routes=(RouteSettings(name="r", policy="rondom"),)), "routes[0].policy: 'rondom' is"),
    ],
)
async def test_an_invalid_change_is_refused_whole_said_and_counted(
    file: Settings | SettingsError, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.file = file
    with pytest.raises(SettingsError) as raised:
        await world.reconfiguration.reload("SIGHUP")
    assert str(raised.value).startswith(reason)
    assert world.events == []
    assert world.reconfiguration.settings == Settings()
    assert "event=settings_refused" in caplog.text
    assert world.metrics() == {"applied": 0, "unchanged": 0, "refused": 1, "is_refused": 1}
    world.file = Settings()
    await world.reconfiguration.reload("SIGHUP")
    assert world.metrics()["is_refused"] == 0


async def test_what_one_worker_cannot_use_none_does() -> None:
    world = World()
    world.file, world.worker_says = Settings(policy="random"), "policy: no module mine"
    with pytest.raises(SettingsError, match="no module mine"):
        await world.reconfiguration.reload("SIGHUP")
    assert world.events == ["prepare random"]
    assert world.reconfiguration.settings == Settings()


async def test_changes_wait_for_each_other() -> None:
    world = World()
    world.file = Settings(policy="random")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(world.reconfiguration.reload("the file has changed"))
        tasks.create_task(world.reconfiguration.change("operator", policy="round_robin"))
    assert world.events == [
        *("prepare random", "apply least_connection random"),
        *("prepare round_robin", "apply random round_robin"),
    ]


async def test_a_single_change_is_checked_as_a_file_is() -> None:
    world = World()
    with pytest.raises(SettingsError, match="log_level"):
        await world.reconfiguration.change("operator", log_level="loud")
    await world.reconfiguration.change("operator", zone=ZoneSettings(name="z1"))
    assert world.reconfiguration.settings.zone.name == "z1"


def test_what_may_change_while_running_is_a_setting() -> None:
    assert set(Settings.__struct_fields__) >= LIVE
    assert {"listen", "workers", "admin_listen", "metrics_listen"}.isdisjoint(LIVE)


async def test_a_file_is_read_again_however_it_is_replaced(tmp_path: Path) -> None:
    file, reloads = tmp_path / "gateway.yaml", asyncio.Queue[str]()
    file.write_text("one")

    async def reload() -> None:
        reloads.put_nowait(file.read_text())
        raise SettingsError("a typo is no reason to stop looking")

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch_settings(file, reload, 0.01))
        await asyncio.sleep(0)
        file.write_text("written anew")
        while await reloads.get() != "written anew":
            pass
        file.unlink()
        new = tmp_path / "new"
        new.write_text("another file")
        new.replace(file)
        while await reloads.get() != "another file":
            pass
        watching.cancel()
