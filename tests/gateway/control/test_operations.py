from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from gateway.config import HealthSettings, ReplicaSettings, RouteSettings, Settings
from gateway.control.admin import Admin
from gateway.control.fleet_owner import FleetOwner, ModelOffer
from gateway.control.operations import OPERATOR
from gateway.control.reconfiguration import Reconfiguration
from gateway.control.services import running_server
from gateway.errors import SettingsError
from gateway.metrics import Family, Registry
from gateway.types import ReplicaState
from inference.v1 import admin_pb2 as pb
from inference.v1 import admin_pb2_grpc


class Operated:
    """A gateway's control, as far as operators reach it, and their stub."""

    def __init__(self) -> None:
        self.file: Settings | SettingsError = Settings(routes=(RouteSettings(name="gold"), RouteSettings(name="rest")))
        self.owner = FleetOwner(lambda _: None, lambda: 0.0, HealthSettings(slow_start_s=0))
        self.owner.assign([ReplicaSettings(address="a:1", weight=2)])
        self.make_ready()
        settings = self.read()
        self.reconfiguration = Reconfiguration(settings, self.read, self.prepare, lambda old, new: None, Registry())
        self.stub: admin_pb2_grpc.AdminAsyncStub

    def make_ready(self, boot_id: int = 7) -> None:
        self.owner.connected("a:1")
        self.owner.identified("a:1", boot_id)
        self.owner.serving("a:1", [ModelOffer("m")])

    def read(self) -> Settings:
        if isinstance(self.file, SettingsError):
            raise self.file
        return self.file

    async def prepare(self, settings: Settings) -> None: ...

    @property
    def state(self) -> ReplicaState:
        return self.owner.snapshot().replicas[0].state


async def families() -> Sequence[Family]:
    registry = Registry()
    requests = registry.counter("inference_gateway_requests_total", "", "method", "status", "replica")
    requests.child("Generate", "OK", "a:1").add(7)
    requests.child("Generate", "UNAVAILABLE", "").add(2)
    gaps = registry.histogram("inference_gateway_inter_token_seconds", "", (0.1,), "replica").child("a:1")
    for _ in range(70):
        gaps.observe(0.02)
    registry.gauge("inference_gateway_requests_parked", "").child().set(3)
    first = registry.histogram("inference_gateway_time_to_first_token_seconds", "", (0.1, 1.0), "replica")
    for replica, value in (("a:1", 0.05), ("a:1", 0.5), ("b:1", 0.6), ("b:1", 9.0)):
        first.child(replica).observe(value)
    return registry.dump()


@asynccontextmanager
async def operated(tmp_path: Path) -> AsyncGenerator[Operated, None]:
    made = Operated()
    target = f"unix:{tmp_path / 'admin.sock'}"
    admin = Admin(made.owner, families, made.reconfiguration, lambda: 5.0)
    async with running_server(target, [admin.handler()]), grpc.aio.insecure_channel(target) as channel:
        made.stub = admin_pb2_grpc.AdminStub(channel)
        yield made


async def test_a_drained_replica_stays_so_until_an_operator_takes_it_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    drain, undrain = pb.DrainReplicaRequest(replica_id="a:1"), pb.UndrainReplicaRequest(replica_id="a:1")
    async with operated(tmp_path) as them:
        assert (await them.stub.DrainReplica(drain, metadata=((OPERATOR, "ada"),))).changed
        assert them.state is ReplicaState.DRAINING
        assert not (await them.stub.DrainReplica(drain)).changed
        them.owner.lost("a:1", "restarts")
        them.make_ready(boot_id=8)
        assert them.state is not ReplicaState.READY
        assert (await them.stub.UndrainReplica(undrain)).changed
        assert them.state is ReplicaState.READY
        assert not (await them.stub.UndrainReplica(undrain)).changed
    line = "event=operator action=drain changed=yes replica=a:1 before=ready after=draining said_by=ada peer="
    assert line in caplog.text


async def test_a_replica_that_does_not_serve_is_not_ready_when_it_is_no_longer_drained(tmp_path: Path) -> None:
    async with operated(tmp_path) as them:
        await them.stub.DrainReplica(pb.DrainReplicaRequest(replica_id="a:1"))
        them.owner.not_serving("a:1", "health says NOT_SERVING")
        await them.stub.UndrainReplica(pb.UndrainReplicaRequest(replica_id="a:1"))
        assert them.state is ReplicaState.DRAINING
        them.owner.serving("a:1", [ModelOffer("m")])
        assert them.state is ReplicaState.READY


async def test_an_operators_weight_outlives_what_discovery_says_until_it_is_set_back(tmp_path: Path) -> None:
    def weight() -> float:
        return them.owner.snapshot().replicas[0].weight

    async with operated(tmp_path) as them:
        assert (await them.stub.SetWeight(pb.SetWeightRequest(replica_id="a:1", weight=5))).changed
        assert not (await them.stub.SetWeight(pb.SetWeightRequest(replica_id="a:1", weight=5))).changed
        them.owner.assign([ReplicaSettings(address="a:1", weight=3)])
        assert weight() == 5
        assert (await them.stub.SetWeight(pb.SetWeightRequest(replica_id="a:1"))).changed
        assert weight() == 3


async def test_a_policy_is_changed_for_all_or_for_one_route(tmp_path: Path) -> None:
    async with operated(tmp_path) as them:
        assert (await them.stub.SetPolicy(pb.SetPolicyRequest(policy="random"))).changed
        assert not (await them.stub.SetPolicy(pb.SetPolicyRequest(policy="random"))).changed
        assert (await them.stub.SetPolicy(pb.SetPolicyRequest(policy="round_robin", route="gold"))).changed
        settings = them.reconfiguration.settings
        assert settings.policy == "random"
        assert [(route.name, route.policy) for route in settings.routes] == [("gold", "round_robin"), ("rest", "")]
        assert list((await them.stub.Reload(pb.ReloadRequest())).settings) == ["policy", "routes"]
        assert them.reconfiguration.settings == them.file
        assert list((await them.stub.Reload(pb.ReloadRequest())).settings) == []


async def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with operated(tmp_path) as them:
        before = them.reconfiguration.settings, them.owner.snapshot()
        them.file = SettingsError("gateway.yaml:3: polcy: unknown setting")
        not_found, invalid = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
        for call, code, message in (
            (them.stub.DrainReplica(pb.DrainReplicaRequest(replica_id="x")), not_found, "no replica is called 'x'"),
            (them.stub.UndrainReplica(pb.UndrainReplicaRequest(replica_id="x")), not_found, "no replica is called 'x'"),
            (them.stub.SetWeight(pb.SetWeightRequest(replica_id="a:1", weight=-1)), invalid, "weight: -1 is not"),
            (them.stub.SetPolicy(pb.SetPolicyRequest(policy="rondom")), invalid, "policy: 'rondom'"),
            (them.stub.SetPolicy(pb.SetPolicyRequest(policy="random", route="x")), not_found, "no route is called 'x'"),
            (
                them.stub.SetPolicy(pb.SetPolicyRequest(policy="random", options_json="[]")),
                invalid,
                "not a JSON object",
            ),
            (them.stub.Reload(pb.ReloadRequest()), invalid, "gateway.yaml:3: polcy: unknown setting"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call
            assert raised.value.code() is code
            assert message in (raised.value.details() or "")
        assert (them.reconfiguration.settings, them.owner.snapshot()) == before
        assert (await them.stub.GetActivity(pb.GetActivityRequest())).settings_refused


async def test_activity_is_the_sum_over_replicas_and_workers(tmp_path: Path) -> None:
    async with operated(tmp_path) as them:
        said = await them.stub.GetActivity(pb.GetActivityRequest())
    assert (said.at_s, said.policy, said.requests_ended, said.requests_failed) == (5.0, "least_connection", 9, 2)
    assert (said.messages, said.requests_parked, said.streams_open) == (70, 3, 0)
    assert list(said.time_to_first_token.counts) == [1, 2, 1]
    assert [(each.id, each.requests_ended, each.messages) for each in said.replicas] == [("a:1", 7, 70)]
