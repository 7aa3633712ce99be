"""Certificates on both hops, through real processes: who is let in, who is known, and what happens when they change."""

import asyncio
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import psutil
import pytest
from cryptography import x509

from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes, inference_gateway
from gateway.client import TLS, Client
from gateway.client.errors import InferenceError, Unavailable
from gateway.tls.material import Identity
from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub
from tests.certificates import Authority, write
from tests.end_to_end.observe import samples, total, until

pytestmark = pytest.mark.e2e

PLANNER = "spiffe://example.org/agents/planner"
POLICY = f"""
import random
from gateway.errors import Reason, Refused

class PlannerOnly:
    def __init__(self, rng: random.Random) -> None: ...

    def pick(self, facts, views, now_s):
        return views[0] if facts.spiffe_id == "{PLANNER}" else Refused(Reason.OVERLOADED, "not for " + facts.spiffe_id)
"""

AUTHORITY = Authority()
GATEWAY = AUTHORITY.issue("localhost", "127.0.0.1")
AGENT, OTHER = AUTHORITY.issue(PLANNER), AUTHORITY.issue("spiffe://example.org/agents/other")


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Cluster]:
    """A gateway and a replica that both ask for certificates, and a policy that serves one agent alone."""
    ca = AUTHORITY.write_ca(tmp_path)
    replica = write(AUTHORITY.issue("replica.internal"), tmp_path, "replica")
    gateway = write(GATEWAY, tmp_path, "gateway")
    (tmp_path / "policy.py").write_text(POLICY)
    flags = ("--tls-cert", replica.cert, "--tls-key", replica.key, "--tls-client-ca", ca)
    settings = {
        "tls": {
            "agents": {"cert": gateway.cert, "key": gateway.key, "client_ca": ca},
            "replicas": {"ca": ca, "cert": gateway.cert, "key": gateway.key, "server_name": "replica.internal"},
            "reread_interval_s": 0.2,
        },
        "workers": 2,
    }
    plan = Plan(1, "m", ("--speedup", "1", *flags), policy=f"{tmp_path}/policy.py:PlannerOnly", settings=settings)
    with Processes(tmp_path) as processes:
        made = Cluster(processes, plan, tmp_path)
        made.start()
        yield made


def credentials(identity: Identity) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(AUTHORITY.ca.encode(), identity.key.encode(), identity.chain.encode())


def tls(identity: Identity | None) -> TLS:
    key, chain = (identity.key.encode(), identity.chain.encode()) if identity else (None, None)
    return TLS(root_certificates=AUTHORITY.ca.encode(), private_key=key, certificate_chain=chain)


def shows(address: str, identity: Identity) -> bool:
    """Whether new handshakes are shown this certificate: several, since several workers take them."""
    expected = x509.load_pem_x509_certificate(identity.chain.encode()).serial_number
    try:
        return [_serial_shown(address) for _ in range(4)] == [expected] * 4
    except OSError:  # a worker that was being killed
        return False


def _serial_shown(address: str) -> int:
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=AUTHORITY.ca)
    with (
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as up,
    ):
        shown = up.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


async def until_ready(cluster: Cluster) -> None:
    await until(lambda: total(samples(cluster), "inference_gateway_replica_state", state="ready") == 1, 30)


async def test_who_has_the_right_certificate_is_served_over_both_hops(secured: Cluster, tmp_path: Path) -> None:
    await until_ready(secured)
    async with Client(secured.address, tls=tls(AGENT), api_key="secret") as client:
        completion = await client.generate("hello", max_tokens=20, ignore_eos=True).collect()
        assert completion.usage.completion_tokens == 20
    async with Client(secured.address, tls=tls(OTHER)) as client:
        with pytest.raises(InferenceError, match="not for spiffe"):
            await client.generate("hello", max_tokens=2).collect()
    async with Client(secured.address, tls=tls(None)) as client:
        with pytest.raises(Unavailable):
            await client.generate("hello", max_tokens=2, timeout_s=10).collect()
    async with grpc.aio.insecure_channel(secured.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await InferenceStub(channel).ListModels(pb.ListModelsRequest(), timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    own = write(AGENT, tmp_path, "agent")
    shown = await asyncio.to_thread(
        subprocess.run,
        inference_gateway("generate", "hello", "--address", secured.address, "--max-tokens", "3", "--timeout-s", "20")
        + ["--tls-ca", str(tmp_path / "ca.pem"), "--tls-cert", own.cert, "--tls-key", own.key],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert shown.stdout.strip()
    log = secured.gateway.log.read_text()
    assert "cause=no_certificate" in log
    assert "cause=plain_text" in log
    assert "Traceback" not in log
    failed = "inference_gateway_handshakes_failed_total"
    found = samples(secured)
    assert total(found, failed, cause="plain_text") >= 1
    assert total(found, "inference_gateway_tls_handshakes_total", version="TLSv1.3") >= 3


async def test_a_stream_outlives_the_certificate_that_it_began_with(secured: Cluster, tmp_path: Path) -> None:
    await until_ready(secured)
    async with grpc.aio.secure_channel(secured.address, credentials(AGENT)) as channel:
        sampling = pb.SamplingParameters(max_tokens=300, ignore_eos=True)
        call = InferenceStub(channel).Generate(pb.GenerateRequest(text="hello", sampling=sampling))
        assert isinstance(await call.read(), pb.GenerateResponse)
        fresh = AUTHORITY.issue("localhost", "127.0.0.1")
        assert shows(secured.address, GATEWAY)
        # First one without its key, which is refused, then both.
        (tmp_path / "gateway.pem").write_text(fresh.chain)
        reloads = "inference_gateway_certificate_reloads_total"
        await until(lambda: total(samples(secured), reloads, result="refused") == 2)
        assert shows(secured.address, GATEWAY)
        write(fresh, tmp_path, "gateway")
        await until(lambda: shows(secured.address, fresh))
        tokens = 1
        while isinstance(response := await call.read(), pb.GenerateResponse):
            tokens += len(response.token_ids)
        assert tokens >= 300
    async with Client(secured.address, tls=tls(AGENT)) as client:
        assert (await client.generate("hello", max_tokens=2).collect()).text
    assert total(samples(secured), reloads, side="agents", result="used") == 1
    # Workers that are started while the files are broken get what is in use.
    (tmp_path / "gateway.key").write_text("broken")
    for worker in psutil.Process(secured.gateway.pid).children():
        worker.kill()
    await until(lambda: total(samples(secured), "inference_gateway_worker_restarts_total") == 2, 30)
    await until(lambda: shows(secured.address, fresh), 30)


async def test_tls_to_a_plain_port_is_told_to_the_operator(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        cluster = Cluster(processes, Plan(0, "m"), tmp_path)
        cluster.start()
        async with Client(cluster.address, tls=tls(None)) as client:
            with pytest.raises(Unavailable):
                await client.models(timeout_s=10)
        cluster.gateway.wait_for_line(re.compile("cause=tls"))


def test_wrong_files_end_the_start(tmp_path: Path) -> None:
    files = write(AGENT, tmp_path, "own")
    wrong = write(OTHER, tmp_path, "other")
    shown = subprocess.run(
        inference_gateway("serve", "--tls-cert", files.cert, "--tls-key", wrong.key),
        capture_output=True,
        timeout=60,
        check=False,
    )
    expected = (
        f"inference-gateway serve: tls.agents.key: {wrong.key}: is not the key of the certificate in {files.cert}\n"
    )
    assert (shown.returncode, shown.stderr.decode()) == (2, expected)
