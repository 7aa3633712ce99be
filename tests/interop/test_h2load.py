"""nghttp2's load generator: an HTTP/2 stack that knows nothing of gRPC."""

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.cluster import Cluster
from inference.v1 import inference_pb2 as pb
from tests.end_to_end.observe import samples, total

pytestmark = pytest.mark.interop

METHOD = "inference.v1.Inference/Generate"
REQUESTS = 300


@pytest.mark.parametrize("windows", [(), ("-w", "10", "-W", "12")], ids=["wide windows", "narrow windows"])
def test_h2load(cluster: Cluster, tmp_path: Path, windows: tuple[str, ...]) -> None:
    request = pb.GenerateRequest(text="hi", sampling=pb.SamplingParameters(max_tokens=50, ignore_eos=True))
    serialized = request.SerializeToString()
    body = tmp_path / "request"
    body.write_bytes(b"\0" + len(serialized).to_bytes(4, "big") + serialized)
    headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    load = ("-n", str(REQUESTS), "-c", "5", "-m", "20", "-d", str(body))
    h2load = shutil.which("h2load")
    if h2load is None:
        pytest.skip("h2load is not installed: apt-get install nghttp2-client")
    before = samples(cluster)
    ended = subprocess.run(
        [h2load, *load, *windows, *headers, f"http://{cluster.address}/{METHOD}"],
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
