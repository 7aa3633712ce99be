"""What goes wrong is told in a way that every stack understands."""

from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes
from gateway.rpc.status import DOMAIN, Code
from inference.v1 import inference_pb2 as pb
from tests.interop.python.calls import Call, Result, find_method
from tests.interop.speaking import AgentProcess, At

pytestmark = pytest.mark.interop

GENERATE = "inference.v1.Inference/Generate"
Detail = TypeVar("Detail", bound=Message)


@pytest.fixture(scope="session")
def empty_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A gateway whose only replica does not listen."""
    folder = tmp_path_factory.mktemp("empty")
    with Processes(folder) as processes:
        nowhere = {"replicas": [{"address": "127.0.0.1:1"}]}
        started = Cluster(processes, Plan(replicas=0, model="", settings=nowhere), folder)
        started.start()
        yield started


def detail(result: Result, kind: type[Detail]) -> Detail | None:
    """Return the detail of this kind, if there is one, of a status that says all else twice."""
    serialized = result.trailer("grpc-status-details-bin")
    assert isinstance(serialized, bytes)
    status = status_pb2.Status.FromString(serialized)
    assert (status.code, status.message) == (result.code, result.message)
    for packed in status.details:
        unpacked = kind()
        if packed.Unpack(unpacked):
            return unpacked
    return None


def reason(result: Result) -> tuple[Code, str]:
    info = detail(result, error_details_pb2.ErrorInfo)
    assert info is not None
    assert info.domain == DOMAIN
    return Code(result.code), info.reason


def test_an_unknown_model(inference: At) -> None:
    result = inference.call(Call(GENERATE, [pb.GenerateRequest(model="größer 🙂", text="hi")]))
    assert reason(result) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")
    assert "größer 🙂" in result.message
    assert detail(result, error_details_pb2.RetryInfo) is None


def test_a_field_that_the_replica_cannot_honour(inference: At) -> None:
    wrong = pb.SamplingParameters(max_tokens=5, temperature=-1)
    result = inference.call(Call(GENERATE, [pb.GenerateRequest(text="hi", sampling=wrong)]))
    assert reason(result) == (Code.INVALID_ARGUMENT, "INVALID_REQUEST")
    info = detail(result, error_details_pb2.ErrorInfo)
    assert info is not None
    assert info.metadata["field"] == "sampling.temperature"


@pytest.mark.parametrize("method", ["UnaryCall", "StreamingOutputCall", "StreamingInputCall", "FullDuplexCall"])
def test_a_service_that_is_not_let_through(inference: At, method: str) -> None:
    request: Any = find_method(f"grpc.testing.TestService/{method}").request
    result = inference.call(Call(f"grpc.testing.TestService/{method}", [request()]))
    assert reason(result) == (Code.UNIMPLEMENTED, "METHOD_NOT_FOUND")


def test_metadata_that_is_too_large(inference: At) -> None:
    result = inference.call(Call(GENERATE, [pb.GenerateRequest(text="hi")], metadata=[("x-large", "x" * 12_000)]))
    assert Code(result.code) is Code.RESOURCE_EXHAUSTED


def test_no_replica_says_when_to_come_back(agent: AgentProcess, empty_cluster: Cluster) -> None:
    result = At(agent, empty_cluster.address).call(Call(GENERATE, [pb.GenerateRequest(text="hi")]))
    assert reason(result) == (Code.UNAVAILABLE, "NO_REPLICA_READY")
    retry = detail(result, error_details_pb2.RetryInfo)
    assert retry is not None
    pushback_ms = retry.retry_delay.ToNanoseconds() / 1e6
    assert pushback_ms > 0
    if agent.name != "grpclib":
        assert result.trailer("grpc-retry-pushback-ms") == f"{pushback_ms:.0f}"
