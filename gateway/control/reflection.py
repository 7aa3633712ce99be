"""gRPC server reflection, under both of its names."""

from collections.abc import Sequence
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

_NAMES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
"""Their messages are the same; grpcio-reflection has v1alpha alone. Tools ask for v1 first."""


def reflection_handlers(services: Sequence[str]) -> tuple[grpc.GenericRpcHandler, ...]:
    """Return the handlers that describe `services`, by their full names."""
    servicer: Any = reflection.aio.ReflectionServicer([*services, reflection.SERVICE_NAME])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo, ServerReflectionRequest.FromString, ServerReflectionResponse.SerializeToString
    )
    return tuple(grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}) for name in _NAMES)
