"""gRPC server reflection, under both of its names."""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from xds.service.orca.v3 import orca_pb2

from inference.v1 import admin_pb2, inference_pb2

# google.protobuf's FileDescriptor, for which the stubs have two names.
_File = Any

FOR_AGENTS: Sequence[_File] = (inference_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, orca_pb2.DESCRIPTOR)
FOR_OPERATORS: Sequence[_File] = (admin_pb2.DESCRIPTOR,)

_NAMES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
"""Their messages are the same; grpcio-reflection has v1alpha alone. Tools ask for v1 first."""


def reflection_handlers(files: Sequence[_File]) -> tuple[grpc.GenericRpcHandler, ...]:
    """Return the handlers that describe the services in `files`, and nothing else that this process knows."""
    pool = DescriptorPool()
    described = [*files, reflection_pb2.DESCRIPTOR]
    added = set[str]()
    for file in described:
        _add(pool, file, added)
    names = [service.full_name for file in described for service in file.services_by_name.values()]
    servicer: Any = reflection.aio.ReflectionServicer(names, pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo, ServerReflectionRequest.FromString, ServerReflectionResponse.SerializeToString
    )
    return tuple(grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}) for name in _NAMES)


def _add(pool: DescriptorPool, file: _File, added: set[str]) -> None:
    """Add `file` after what it imports."""
    if file.name not in added:
        added.add(file.name)
        for imported in file.dependencies:
            _add(pool, imported, added)
        pool.AddSerializedFile(file.serialized_pb)
