import contextlib
import os
import socket
import stat
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from gateway.control.health import Health
from gateway.control.reflection import FOR_AGENTS, reflection_handlers
from gateway.control.services import running_server
from gateway.errors import SettingsError
from inference.v1 import admin_pb2


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
    handlers = reflection_handlers(FOR_AGENTS)
    async with running_server(target, handlers), grpc.aio.insecure_channel(target) as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            ServerReflectionRequest.SerializeToString,
            ServerReflectionResponse.FromString,
        )
        requests = [
            ServerReflectionRequest(list_services=""),
            ServerReflectionRequest(file_containing_symbol="inference.v1.Inference"),
            ServerReflectionRequest(file_containing_symbol="xds.service.orca.v3.OpenRcaService"),
            # This process knows it, agents must not.
            ServerReflectionRequest(file_containing_symbol=admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name),
        ]
        answers = [answer async for answer in ask(iter(requests))]
    listed = [service.name for service in answers[0].list_services_response.service]
    assert listed == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.v1.Inference",
        "xds.service.orca.v3.OpenRcaService",
    ]
    assert answers[3].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert b"GenerateRequest" in answers[1].file_descriptor_response.file_descriptor_proto[0]
    assert b"OrcaLoadReportRequest" in answers[2].file_descriptor_response.file_descriptor_proto[0]
