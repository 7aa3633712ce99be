"""gRPC's own interoperability cases, by their names there, over every pair of agent and replica; the service is opaque
to the gateway.

https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes
from gateway.rpc.status import Code
from tests.end_to_end.observe import samples, total, until
from tests.interop.fronts import FRONTS, start_fronts
from tests.interop.python.calls import Call, Result, find_method
from tests.interop.speaking import COMPRESSIONS, REPLICAS, AgentProcess, At
from tests.interop.tls import HTTPS, agents_tls, replicas_tls

pytestmark = pytest.mark.interop

SERVICE = "grpc.testing.TestService"
REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)
CHANNELS = 4
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
ECHOED: list[tuple[str, str | bytes]] = [
    ("x-grpc-test-echo-initial", "test_initial_metadata_value"),
    ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"),
]


class Target(NamedTuple):
    """A gateway, where an agent finds it, and what the replica behind it compresses."""

    cluster: Cluster
    address: str | None
    compressions: Collection[str]


@pytest.fixture(scope="session")
def targets(descriptor_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Target]]:
    """For each stack a gateway in front of one replica of the test service, in plain text and with TLS to agents and
    mTLS to the replica; and proxies in front of one of those."""
    files = descriptor_set.parent
    tls = {"agents": agents_tls(files, asks=False), "replicas": replicas_tls(files)}
    with ExitStack() as stack:
        found: dict[str, Target] = {}
        for name, command in REPLICAS.items():
            folders = [tmp_path_factory.mktemp("opaque") for _ in range(2)]
            plain, secured = (stack.enter_context(Processes(folder)) for folder in folders)
            replica = [*command, str(descriptor_set)]
            cluster = start_opaque(plain, replica, folders[0])
            found[name] = Target(cluster, cluster.address, COMPRESSIONS[name])
            cluster = start_opaque(secured, [*replica, "tls"], folders[1], tls=tls)
            found[f"{name} over TLS"] = Target(cluster, HTTPS + cluster.address, COMPRESSIONS[name])
        proxied = found["grpcio"]
        for name, address in start_fronts(proxied.cluster, tmp_path_factory.mktemp, stack).items():
            found[f"behind {name}"] = proxied._replace(address=address)
        yield found


def start_opaque(processes: Processes, replica: Sequence[str], folder: Path, **more: object) -> Cluster:
    address = processes.start("replica", replica).wait_for_line()[1]
    settings = {
        "replicas": [{"id": "replica", "address": address}],
        "opaque_services": [SERVICE],
        "probe": {"health_service": ""},
        "parking_s": 10,
        **more,
    }
    cluster = Cluster(processes, Plan(replicas=0, model="", settings=settings), folder)
    cluster.start()
    return cluster


REPLICAS_OVER_ALL = [*REPLICAS, *(f"{name} over TLS" for name in REPLICAS)]
PLAIN_FRONTS = [name for name in FRONTS if "TLS" not in name]
"""Agents over mTLS: test_generate.py."""


@pytest.fixture(params=[*REPLICAS_OVER_ALL, *(f"behind {name}" for name in PLAIN_FRONTS)])
def target(request: pytest.FixtureRequest, targets: Mapping[str, Target]) -> Target:
    return targets[request.param]


@pytest.fixture
def opaque(agent: AgentProcess, target: Target) -> At:
    return At(agent, target.address or pytest.skip("the proxy is not installed"))


def call(method: str, *requests: dict[str, Any], **options: Any) -> Call:
    """Return a call whose requests have these fields."""
    kind: Any = find_method(f"{SERVICE}/{method}").request
    return Call(f"{SERVICE}/{method}", [kind(**fields) for fields in requests], **options)


def payload(size: int) -> dict[str, bytes]:
    return {"body": bytes(size)}


def wanted(*sizes: int, interval_us: int = 0) -> list[dict[str, int]]:
    return [{"size": size, "interval_us": interval_us} for size in sizes]


def ping_pongs() -> list[dict[str, Any]]:
    pairs = zip(REQUEST_SIZES, RESPONSE_SIZES, strict=True)
    return [{"payload": payload(asked), "response_parameters": wanted(answered)} for asked, answered in pairs]


def large_unary(**options: Any) -> Call:
    return call("UnaryCall", {"payload": payload(271_828), "response_size": 314_159}, **options)


def assert_ok(result: Result) -> None:
    assert Code(result.code) is Code.OK, result.message


def sizes(result: Result) -> list[int]:
    return [len(response.payload.body) for response in result.responses]


def connections(cluster: Cluster) -> tuple[float, float]:
    """Return how many connections agents have made, and how many of them there are."""
    found = samples(cluster)
    names = ("connections_accepted_total", "agent_connections_open")
    made, there = (total(found, f"inference_gateway_{name}") for name in names)
    return made, there


async def assert_idle(cluster: Cluster) -> None:
    await until(lambda: total(samples(cluster), "inference_gateway_requests_in_flight") == 0)
    assert total(samples(cluster), "inference_gateway_lease_audit") == 0


def test_empty_unary(opaque: At) -> None:
    result = opaque.call(call("EmptyCall", {}))
    assert_ok(result)
    assert len(result.responses) == 1


def test_large_unary(opaque: At, target: Target) -> None:
    """And client_compressed_unary and server_compressed_unary, where agent and replica know the compression."""
    compressions = COMPRESSIONS[opaque.name] if target.compressions else ()
    calls = [large_unary()]
    calls += [large_unary(compression=each, metadata=[("x-grpc-test-compressed", each)]) for each in compressions]
    for result in opaque.call_all(calls):
        assert_ok(result)
        assert sizes(result) == [314_159]


def test_client_streaming(opaque: At) -> None:
    result = opaque.call(call("StreamingInputCall", *({"payload": payload(size)} for size in REQUEST_SIZES)))
    assert_ok(result)
    assert [response.aggregated_payload_size for response in result.responses] == [74_922]


def test_server_streaming(opaque: At) -> None:
    result = opaque.call(call("StreamingOutputCall", {"response_parameters": wanted(*RESPONSE_SIZES)}))
    assert_ok(result)
    assert sizes(result) == list(RESPONSE_SIZES)


def test_ping_pong(opaque: At) -> None:
    result = opaque.call(call("FullDuplexCall", *ping_pongs()))
    assert_ok(result)
    assert sizes(result) == list(RESPONSE_SIZES)


def test_empty_stream(opaque: At) -> None:
    result = opaque.call(call("FullDuplexCall"))
    assert_ok(result)
    assert not result.responses


async def test_cancel_after_begin(opaque: At, target: Target) -> None:
    result = opaque.call(call("StreamingInputCall", cancel_after=0))
    assert Code(result.code) is Code.CANCELLED
    await assert_idle(target.cluster)


async def test_cancel_after_first_response(opaque: At, target: Target) -> None:
    result = opaque.call(call("FullDuplexCall", *ping_pongs(), cancel_after=1))
    assert Code(result.code) is Code.CANCELLED
    assert sizes(result) == [31_415]
    await assert_idle(target.cluster)


async def test_timeout_on_sleeping_server(opaque: At, target: Target) -> None:
    slow = {"payload": payload(27_182), "response_parameters": wanted(31_415, interval_us=2_000_000)}
    # grpc.aio sometimes calls a deadline that passes while it writes an internal error, without any gateway as well.
    for timeout_s in (0.1,) if opaque.name == "grpc.aio" else (0.001, 0.1):
        result = opaque.call(call("FullDuplexCall", slow, timeout_s=timeout_s))
        assert Code(result.code) is Code.DEADLINE_EXCEEDED
        assert not result.responses
    await assert_idle(target.cluster)


@pytest.mark.parametrize("method", ["UnaryCall", "FullDuplexCall"])
def test_custom_metadata(opaque: At, method: str) -> None:
    request = {"payload": payload(271_828)}
    request |= {"response_size": 314_159} if method == "UnaryCall" else {"response_parameters": wanted(314_159)}
    result = opaque.call(call(method, request, metadata=ECHOED))
    assert_ok(result)
    assert ECHOED[0] in result.metadata
    assert ECHOED[1] in result.trailers
    assert sizes(result) == [314_159]


@pytest.mark.parametrize("method", ["UnaryCall", "FullDuplexCall"])
@pytest.mark.parametrize("message", ["test status message", SPECIAL_MESSAGE])
def test_status_code_and_message(opaque: At, method: str, message: str) -> None:
    result = opaque.call(call(method, {"response_status": {"code": 2, "message": message}}))
    assert (Code(result.code), result.message) == (Code.UNKNOWN, message)
    assert not result.responses


# HAProxy 2.6 makes NO_ERROR, by which gRPC servers end what is left of the request, a CANCEL, and grpcio believes that:
# the same with a replica right behind it.
@pytest.mark.parametrize("target", REPLICAS_OVER_ALL, indirect=True)
def test_status_before_the_request_has_ended(opaque: At) -> None:
    refused: dict[str, Any] = {"response_status": {"code": 2, "message": SPECIAL_MESSAGE}}
    result = opaque.call(call("FullDuplexCall", refused, refused))
    assert (Code(result.code), result.message) == (Code.UNKNOWN, SPECIAL_MESSAGE)


def test_unimplemented_method(opaque: At) -> None:
    assert Code(opaque.call(call("UnimplementedCall", {})).code) is Code.UNIMPLEMENTED


def test_unimplemented_service(opaque: At) -> None:
    method = "grpc.testing.UnimplementedService/UnimplementedCall"
    request: Any = find_method(method).request
    assert Code(opaque.call(Call(method, [request()])).code) is Code.UNIMPLEMENTED


# HAProxy 2.6 ends some of grpc-js's streams without their trailers when others of the connection are cancelled, as much
# with a replica right behind it as with the gateway.
@pytest.mark.parametrize(
    "target", [*REPLICAS_OVER_ALL, *(f"behind {name}" for name in ("gateway", "envoy", "nginx"))], indirect=True
)
async def test_rpc_soak(opaque: At, target: Target) -> None:
    """Many at once, of every kind, some cancelled; and again."""
    mixed = [
        large_unary(),
        call("FullDuplexCall", *ping_pongs()),
        call("FullDuplexCall", *ping_pongs(), cancel_after=2),
        call("StreamingInputCall", *({"payload": payload(size)} for size in REQUEST_SIZES)),
        call("StreamingOutputCall", {"response_parameters": wanted(*[100] * 100)}),
    ]
    for _ in range(2):
        results = opaque.call_all(mixed * 4)
        codes = [Code(result.code) for result in results]
        assert codes == [Code.OK, Code.OK, Code.CANCELLED, Code.OK, Code.OK] * 4
        assert all(sizes(result) == [100] * 100 for result in results[4::5])
    await assert_idle(target.cluster)


async def test_channel_soak(opaque: At, target: Target) -> None:
    """One after the other, each on a new connection, although there is one."""
    assert_ok(opaque.call(call("EmptyCall", {})))
    made, there = connections(target.cluster)
    for _ in range(CHANNELS):
        result = opaque.call(large_unary(is_alone=True))
        assert_ok(result)
        assert sizes(result) == [314_159]
    # A proxy keeps connections of its own.
    if target.address in (target.cluster.address, HTTPS + target.cluster.address):
        await until(lambda: connections(target.cluster)[1] <= there)
        assert connections(target.cluster)[0] - made == CHANNELS
    await assert_idle(target.cluster)
