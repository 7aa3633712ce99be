"""A gateway in front of two simulated replicas, and agents of many kinds to call it."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes
from tests.interop.fronts import start_fronts
from tests.interop.python.calls import load_types
from tests.interop.speaking import AGENTS, HERE, ROOT, AgentProcess, At, start_agent
from tests.interop.tls import write_certificates

MODEL = "simulated"
ENGINE = ("--engine", "simulated", "--speedup", "20")


@pytest.fixture(scope="session")
def descriptor_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All services that agents call here, with all that they import; beside it lie certificates."""
    path = tmp_path_factory.mktemp("types") / "services.binpb"
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "--include_imports", f"--descriptor_set_out={path}"]
    folders = [f"--proto_path={ROOT / 'proto'}", f"--proto_path={HERE}"]
    subprocess.run([*protoc, *folders, "inference/v1/inference.proto", "interop.proto"], check=True)
    services = FileDescriptorSet.FromString(path.read_bytes())
    for descriptor in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        services.file.append(FileDescriptorProto.FromString(descriptor.serialized_pb))
    path.write_bytes(services.SerializeToString())
    load_types(path)
    write_certificates(path.parent)
    return path


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with Processes(folder) as processes:
        started = Cluster(processes, Plan(replicas=2, model=MODEL, engine_arguments=ENGINE), folder)
        started.start()
        yield started


@pytest.fixture(scope="session", params=AGENTS)
def agent(request: pytest.FixtureRequest, descriptor_set: Path) -> Iterator[AgentProcess]:
    with start_agent(request.param, descriptor_set) as started:
        yield started


@pytest.fixture(scope="session")
def fronts(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str | None]]:
    """The addresses of proxies in front of the gateway; None where one is not installed."""
    with ExitStack() as stack:
        yield start_fronts(cluster, tmp_path_factory.mktemp, stack)


@pytest.fixture
def path(cluster: Cluster) -> str:
    """The address by which agents come to the gateway; tests may override it to go by proxies."""
    return cluster.address


@pytest.fixture
def inference(agent: AgentProcess, path: str) -> At:
    """An agent of each kind, on its way to the gateway."""
    return At(agent, path)
