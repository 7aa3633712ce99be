"""What tools and balancers ask before they send anything."""

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from gateway.rpc.status import Code
from tests.interop.python.calls import Call
from tests.interop.speaking import At

pytestmark = pytest.mark.interop

SERVING = health_pb2.HealthCheckResponse.SERVING
REFLECT = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.mark.parametrize("service", ["", "inference.v1.Inference"])
def test_health_is_checked(inference: At, service: str) -> None:
    asked = health_pb2.HealthCheckRequest(service=service)
    result = inference.call(Call("grpc.health.v1.Health/Check", [asked]))
    assert Code(result.code) is Code.OK
    assert result.responses[0].status == SERVING


def test_health_of_an_unknown_service(inference: At) -> None:
    asked = health_pb2.HealthCheckRequest(service="no.Such")
    assert Code(inference.call(Call("grpc.health.v1.Health/Check", [asked])).code) is Code.NOT_FOUND


def test_health_is_watched_until_the_watcher_leaves(inference: At) -> None:
    asked = health_pb2.HealthCheckRequest(service="inference.v1.Inference")
    result = inference.call(Call("grpc.health.v1.Health/Watch", [asked], cancel_after=1))
    assert Code(result.code) is Code.CANCELLED
    assert [response.status for response in result.responses] == [SERVING]


def test_reflection_tells_the_services_and_their_files(inference: At) -> None:
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services="*"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.v1.Inference"),
    ]
    result = inference.call(Call(REFLECT, asked))
    assert Code(result.code) is Code.OK
    services, files = result.responses
    names = {service.name for service in services.list_services_response.service}
    assert {"inference.v1.Inference", "grpc.health.v1.Health", "xds.service.orca.v3.OpenRcaService"} <= names
    assert b"GenerateRequest" in files.file_descriptor_response.file_descriptor_proto[0]
