"""What the server itself does: limits, pings, reflection, its port."""

import asyncio

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import aio
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from inference.v1 import inference_pb2 as pb
from tests.serving.fakes import FakeEngine
from tests.serving.running import Running, request, running
from tests.serving.wire import call, wire_to

pytestmark = pytest.mark.anyio


async def ask(served: Running, version: str, asked: ServerReflectionRequest) -> ServerReflectionResponse:
    method = served.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        ServerReflectionRequest.SerializeToString,
        ServerReflectionResponse.FromString,
    )
    async for response in method(iter([asked])):
        return response
    raise AssertionError("no response")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_tools_can_ask_what_is_served(version: str) -> None:
    async with running() as served:
        listed = await ask(served, version, ServerReflectionRequest(list_services=""))
        assert {service.name for service in listed.list_services_response.service} == {
            "inference.v1.Inference",
            "grpc.health.v1.Health",
            "xds.service.orca.v3.OpenRcaService",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        symbol = ServerReflectionRequest(file_containing_symbol="inference.v1.Inference")
        found = await ask(served, version, symbol)
        files = [FileDescriptorProto.FromString(file) for file in found.file_descriptor_response.file_descriptor_proto]
        assert "inference/v1/inference.proto" in {file.name for file in files}


async def test_pings_through_a_long_silence_are_no_flood() -> None:
    engine = FakeEngine(hold=asyncio.Event())
    async with running(engine) as served, wire_to(served.replica.port) as wire:
        stream = wire.begin("/inference.v1.Inference/Generate", request())
        for sent in range(20):
            wire.ping()
            while wire.pongs <= sent and not wire.is_gone:
                await wire.turn()
        assert engine.hold is not None
        engine.hold.set()
        response = await wire.finish(stream)
        assert response.trailers["grpc-status"] == "0"


async def test_an_unknown_method_is_unimplemented() -> None:
    async with running() as served:
        assert (await call(served.replica.port, "Nothing", b"")).trailers["grpc-status"] == "12"


async def test_a_request_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    async with running(request_bytes=2000) as served:
        for length, code in ((2000, grpc.StatusCode.NOT_FOUND), (2001, grpc.StatusCode.RESOURCE_EXHAUSTED)):
            asked = pb.GenerateRequest(model="other", request_id="x" * 1900)
            asked.request_id += "x" * (length - asked.ByteSize())
            with pytest.raises(aio.AioRpcError) as failed:
                [message async for message in served.stub.Generate(asked)]
            assert failed.value.code() is code


async def test_metadata_below_the_limit_always_passes() -> None:
    async with running() as served:
        for _ in range(20):
            [message async for message in served.stub.Generate(request(), metadata=[("x", "y" * 31_500)])]
        with pytest.raises(aio.AioRpcError) as failed:
            [message async for message in served.stub.Generate(request(), metadata=[("x", "y" * 40_000)])]
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_garbage_on_the_port_hurts_nobody() -> None:
    async with running() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.replica.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)))
        while await reader.read(1024):
            pass
        writer.close()
        await writer.wait_closed()
        assert [message async for message in served.stub.Generate(request())]
