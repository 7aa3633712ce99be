"""The gRPC server of a replica: its options and its services."""

from typing import Any

import grpc
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

from serving.config import Settings, SettingsError
from serving.health import HEALTH_SERVICE, Health, health_handler
from serving.load_stream import LOAD_SERVICE, LoadStream, load_handler
from serving.service import INFERENCE_SERVICE, InferenceService, inference_handler
from serving.tls import Certificates

HEALTH_SERVICES = frozenset({"", INFERENCE_SERVICE})

# grpcio-reflection serves v1alpha alone; v1 has the same messages.
_REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def new_server(settings: Settings, service: InferenceService, health: Health, load_stream: LoadStream) -> aio.Server:
    handlers = [inference_handler(service), health_handler(health), load_handler(load_stream), *_reflection_handlers()]
    return aio.server(handlers=handlers, options=server_options(settings))


def server_options(settings: Settings) -> list[tuple[str, int]]:
    return [
        # Two servers on one port would share its connections; a port in use has to be an error.
        ("grpc.so_reuseport", 0),
        # A long prefill sends nothing for minutes, and agents' keepalive must not count as a flood meanwhile.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_receive_message_length", settings.request_bytes),
        ("grpc.max_send_message_length", -1),
        # Between its two defaults (8 and 16 KiB) grpcio refuses at random; here only above both.
        ("grpc.max_metadata_size", settings.header_bytes),
        ("grpc.absolute_max_metadata_size", settings.header_bytes),
    ]


def listen(server: aio.Server, settings: Settings) -> int:
    """Return the port; a free one where the address says 0. Raises SettingsError where it cannot be had."""
    address = settings.listen
    credentials = Certificates(settings).credentials() if settings.tls_cert else None
    try:
        return server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError:
        raise SettingsError(f"listen: {address} cannot be had; does another process listen there?") from None


def _reflection_handlers() -> list[grpc.GenericRpcHandler]:
    names = (INFERENCE_SERVICE, HEALTH_SERVICE, LOAD_SERVICE, *_REFLECTION_SERVICES)
    servicer: Any = reflection.aio.ReflectionServicer(names)  # its stubs leave a parameter without a type
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return [
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in _REFLECTION_SERVICES
    ]
