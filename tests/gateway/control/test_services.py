import contextlib
import os
import socket
import stat
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from gateway.control.health import Health
from gateway.control.reflection import reflection_handlers
from gateway.control.services import admin_target, running_server, runtime_directory
from gateway.errors import SettingsError
from inference.v1 import admin_pb2, inference_pb2


async def test_a_unix_socket_is_the_owners_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with running_server(f"unix:{path}", [Health().handler()]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    assert os.umask(0o022) != 0o177


@pytest.fixture(scope="module")
async def grpcio_has_failed_before() -> None:
    """Its first failure opens descriptors that it keeps; later ones open none."""
    with socket.create_server(("127.0.0.1", 0)) as taken, contextlib.suppress(SettingsError):
        async with running_server(f"127.0.0.1:{taken.getsockname()[1]}", []):
            pass


@pytest.mark.usefixtures("grpcio_has_failed_before")
async def test_a_port_in_use_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match=rf"^cannot listen on {address}: is it in use\?$"):
            async with running_server(address, []):
                pass


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_describes_what_agents_may_call(tmp_path: Path, version: str) -> None:
    target = f"unix:{tmp_path}/control.sock"
    handlers = reflection_handlers([inference_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR])
    async with running_server(target, handlers), grpc.aio.insecure_channel(target) as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            ServerReflectionRequest.SerializeToString,
            ServerReflectionResponse.FromString,
        )
        requests = [
            ServerReflectionRequest(list_services=""),
            ServerReflectionRequest(file_containing_symbol="inference.v1.Inference"),
            # This process knows it, agents must not.
            ServerReflectionRequest(file_containing_symbol=admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name),
        ]
        answers = [answer async for answer in ask(iter(requests))]
    listed = [service.name for service in answers[0].list_services_response.service]
    assert listed == ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "inference.v1.Inference"]
    assert answers[2].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert b"GenerateRequest" in answers[1].file_descriptor_response.file_descriptor_proto[0]


def test_operators_are_heard_on_loopback_only() -> None:
    assert admin_target("127.0.0.1:9000", 1) == "127.0.0.1:9000"
    assert admin_target("[::1]:9000", 1) == "[::1]:9000"
    assert admin_target("localhost:0", 1) == "localhost:0"
    with pytest.raises(SettingsError, match=r"^admin_listen: 0\.0\.0\.0 is not loopback"):
        admin_target("0.0.0.0:9000", 1)
    with pytest.raises(SettingsError, match=r"^admin_listen: 'admin' is neither a path nor HOST:PORT$"):
        admin_target("admin", 1)


def test_the_default_path_is_in_a_directory_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert admin_target("", 8080) == f"unix:{tmp_path}/inference-gateway/admin-8080.sock"
    assert stat.S_IMODE((tmp_path / "inference-gateway").stat().st_mode) == 0o700


def test_a_directory_that_others_can_use_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "inference-gateway").mkdir(mode=0o755)
    with pytest.raises(SettingsError, match=r"is not a directory that only this user can use$"):
        runtime_directory()


def test_what_a_killed_gateway_left_makes_room_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
        with pytest.raises(SettingsError, match=r"admin\.sock is in use$"):
            admin_target(str(path), 1)
    assert admin_target(str(path), 1) == f"unix:{path}"
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(SettingsError, match=r"is there already and no socket$"):
        admin_target(str(path), 1)
    assert path.read_text() == "precious"


def test_a_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is longer than 107 bytes$"):
        admin_target(str(tmp_path / ("a" * 108)), 1)
