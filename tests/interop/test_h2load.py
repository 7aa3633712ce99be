"""nghttp2's load generator: an HTTP/2 stack that knows nothing of gRPC."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes
from inference.v1 import inference_pb2 as pb
from tests.end_to_end.observe import samples, total
from tests.interop.conftest import ENGINE, MODEL
from tests.interop.tls import agents_tls, write_certificates

pytestmark = pytest.mark.interop

METHOD = "inference.v1.Inference/Generate"
REQUESTS = 300
NARROW = ("-w", "10", "-W", "12")
WINDOWS = pytest.mark.parametrize("windows", [(), NARROW], ids=["wide windows", "narrow windows"])


@pytest.fixture
def h2load() -> str:
    """Where the program is."""
    found = shutil.which("h2load")
    if found is None:
        pytest.skip("h2load is not installed: apt-get install nghttp2-client")
    return found


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A gateway that shows agents a certificate. h2load has none to show, and believes every one."""
    folder = tmp_path_factory.mktemp("secured")
    write_certificates(folder)
    settings = {"tls": {"agents": agents_tls(folder, asks=False)}}
    with Processes(folder) as processes:
        started = Cluster(processes, Plan(1, MODEL, ENGINE, settings=settings), folder)
        started.start()
        yield started


@WINDOWS
def test_h2load(h2load: str, cluster: Cluster, tmp_path: Path, windows: tuple[str, ...]) -> None:
    load(h2load, cluster, f"http://{cluster.address}", tmp_path, windows)


@WINDOWS
def test_h2load_over_tls(h2load: str, secured: Cluster, tmp_path: Path, windows: tuple[str, ...]) -> None:
    told = load(h2load, secured, f"https://{secured.address}", tmp_path, windows)
    assert "TLS Protocol: TLSv1.3" in told
    assert "Application protocol: h2" in told


def load(h2load: str, cluster: Cluster, url: str, folder: Path, options: tuple[str, ...]) -> str:
    """Let it send `REQUESTS`, all of which the gateway must answer and count; return what it prints."""
    request = pb.GenerateRequest(text="hi", sampling=pb.SamplingParameters(max_tokens=50, ignore_eos=True))
    serialized = request.SerializeToString()
    body = folder / "request"
    body.write_bytes(b"\0" + len(serialized).to_bytes(4, "big") + serialized)
    headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    amount = ("-n", str(REQUESTS), "-c", "5", "-m", "20", "-d", str(body))
    before = samples(cluster)
    ended = subprocess.run(
        [h2load, *amount, *options, *headers, f"{url}/{METHOD}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in ended.stdout
    after = samples(cluster)
    answered = "inference_gateway_requests_total"
    assert total(after, answered, status="OK") - total(before, answered, status="OK") == REQUESTS
    assert total(after, "inference_gateway_requests_in_flight") == 0
    return ended.stdout
