import io
from collections.abc import Sequence
from pathlib import Path

import grpc
import grpc.aio
import pytest
from rich.console import Console

from gateway.config import HealthSettings, ReplicaSettings, Settings
from gateway.control.admin import Admin
from gateway.control.admin_cli import fleet, reasons, table
from gateway.control.fleet_owner import FleetOwner, ModelOffer
from gateway.control.reconfiguration import Reconfiguration
from gateway.control.services import running_server
from gateway.metrics import Family, Registry
from gateway.types import LoadReport
from inference.v1 import admin_pb2 as pb
from inference.v1 import admin_pb2_grpc


async def families() -> Sequence[Family]:
    registry = Registry()
    registry.gauge("inference_gateway_requests_in_flight", "", "replica").child("one").set(2)
    registry.gauge("inference_gateway_prefill_tokens_in_flight", "", "replica").child("one").set(300)
    return registry.dump()


def owner() -> FleetOwner:
    owner = FleetOwner(lambda _: None, lambda: 0.0, HealthSettings(slow_start_s=0))
    owner.assign([ReplicaSettings(id="one", address="a:1", weight=2), ReplicaSettings(address="b:1")])
    owner.connected("one")
    owner.identified("one", 7)
    owner.serving("one", [ModelOffer("m"), ModelOffer("l")])
    owner.reported("one", LoadReport(1.0, 4.0, 0.375, 50.0, 7, 0, received_at=8.5))
    return owner


def unchanging() -> Reconfiguration:
    async def prepare(settings: Settings) -> None: ...

    return Reconfiguration(Settings(), Settings, prepare, lambda old, new: None, Registry())


async def asked(path: Path) -> pb.ListReplicasResponse:
    admin = Admin(owner(), families, unchanging(), clock=lambda: 10.0)
    async with running_server(f"unix:{path}", [admin.handler()]), grpc.aio.insecure_channel(f"unix:{path}") as channel:
        return await admin_pb2_grpc.AdminStub(channel).ListReplicas(pb.ListReplicasRequest())


async def test_every_replica_is_shown_with_its_state_its_leases_and_its_load(tmp_path: Path) -> None:
    response = await asked(tmp_path / "admin.sock")
    assert response.fleet_version == owner().version
    ready, starting = response.replicas
    assert ready == pb.Replica(
        id="one",
        address="a:1",
        incarnation=1,
        state=pb.REPLICA_STATE_READY,
        reason="serving",
        models=["l", "m"],
        weight=2.0,
        requests_in_flight=2,
        prefill_tokens_in_flight=300,
        load=pb.LoadReport(
            queue_depth=1.0, running_requests=4.0, kv_cache_utilization=0.375, uncached_waiting_tokens=50.0, age_s=1.5
        ),
    )
    assert (starting.state, starting.reason) == (pb.REPLICA_STATE_STARTING, "not yet connected")
    assert not starting.HasField("load")


async def test_the_command_prints_a_row_for_each_replica(tmp_path: Path) -> None:
    response = await asked(tmp_path / "admin.sock")
    console = Console(file=io.StringIO(), width=140)
    console.print(table(response))
    assert isinstance(console.file, io.StringIO)
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert "one ready l, m 2 2 1 4 38% 1.5s 1".split() in rows
    assert "b:1 starting - 1 0 - - - - 0".split() in rows
    assert [str(reason) for reason in reasons(response)] == ["b:1 is starting: not yet connected"]


def test_the_command_says_so_when_no_gateway_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert fleet([]) == 2
    assert "no gateway of this user runs; name one with --admin" in capsys.readouterr().err
    assert fleet(["--admin", str(tmp_path / "none.sock")]) == 1
    assert "the gateway does not answer" in capsys.readouterr().err
