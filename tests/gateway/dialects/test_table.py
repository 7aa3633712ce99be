"""The allow-list: what is not literally in it is not served."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.dialects.base import Method
from gateway.dialects.table import CONTROL_SERVICES, MethodTable
from gateway.errors import Failure, Reason
from gateway.http2.headers import FieldList
from gateway.rpc.call import read_call

KNOWN = [f"/inference.v1.Inference/{name}" for name in ("Generate", "Chat", "Embed", "Tokenize", "ListModels")]
SERVICES = ("vllm.grpc.engine.VllmEngine", *CONTROL_SERVICES)
TABLE = MethodTable(SERVICES[:1])
REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b"content-type", b"application/grpc"))
IDENTIFIER = st.from_regex(rb"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True)


def find(path: bytes) -> Method | None:
    """As a connection of an agent does it. None: refused as unknown."""
    try:
        return TABLE.find(read_call(FieldList([*REQUEST, (b":path", path)]), 0.0).path)
    except Failure as failure:
        if failure.reason is Reason.METHOD_NOT_FOUND:
            return None
        raise


def is_listed(path: bytes) -> bool:
    """Said in another way than the table says it."""
    service, _, method = path[1:].partition(b"/")
    is_name = method.isascii() and method.decode("latin-1").isidentifier()
    return path in [known.encode() for known in KNOWN] or (
        path[:1] == b"/" and service in [name.encode() for name in SERVICES] and is_name
    )


@pytest.mark.parametrize("path", [*KNOWN, "/grpc.health.v1.Health/Watch", "/vllm.grpc.engine.VllmEngine/Generate"])
def test_what_is_in_the_list_is_served(path: str) -> None:
    assert find(path.encode()) is not None


@pytest.mark.parametrize(
    "path",
    [
        "inference.v1.Inference/Generate", "//inference.v1.Inference/Generate", "/inference.v1.Inference//Generate",
        "/inference.v1.Inference/Generate/", "/inference.v1.Inference/./Generate", "/./inference.v1.Inference/Generate",
        "/inference.v1.Inference/../inference.v1.Inference/Generate", "/inference.v1.Inference/Generat%65",
        "/inference.v1.Inference%2FGenerate", "/inference.v1.Inference/Generate?a=b",
        "/inference.v1.Inference/Generate#a", "/inference.v1.Inference/Generate;a", "/inference.v1.Inference/generate",
        "/Inference.v1.Inference/Generate", "/inference.v1.Inference/Generate\0", "/inference.v1.Inference/Generate ",
        "/inference.v1.Inference/Generate\n", " /inference.v1.Inference/Generate", "/inference.v1.Inference\\Generate",
        "http://gateway/inference.v1.Inference/Generate", "/v1.Inference/Generate", "/inference.v1.Inference/Nothing",
        "/inference.v1.Inference", "/inference.v1.Inference/", "/", "*", "/grpc.health.v1.Health/Check/Watch",
        "/grpc.health.v1.Health/", "/vllm.grpc.engine.VllmEngine", "/vllm.grpc.engine/VllmEngine/Abort",
        "/.vllm.grpc.engine.VllmEngine/Abort", "/vllm.grpc.engine.VllmEngine./Abort",
        "/grpc.channelz.v1.Channelz/GetServers", "/\uff49nference.v1.Inference/Generate",
    ],
)  # fmt: skip
def test_what_only_resembles_it_is_not(path: str) -> None:
    assert find(path.encode()) is None


@given(st.binary(max_size=60))
def test_bytes_that_are_not_in_the_list_never_match(path: bytes) -> None:
    assert (find(path) is not None) is is_listed(path)


@given(st.sampled_from([*KNOWN, *(f"/{name}/Check" for name in SERVICES)]), st.data())
@example("/grpc.health.v1.Health/Check", None)
def test_a_path_that_is_changed_matches_only_what_is_in_the_list_again(known: str, data: st.DataObject | None) -> None:
    path = known.encode()
    if data is not None:
        at = data.draw(st.integers(0, len(path)))
        gone = data.draw(st.integers(0, 2))
        path = path[:at] + data.draw(st.binary(max_size=3)) + path[at + gone :]
    assert (find(path) is not None) is is_listed(path)


@given(IDENTIFIER, IDENTIFIER)
def test_services_that_nobody_has_named_are_closed(service: bytes, method: bytes) -> None:
    assert find(b"/" + service + b"/" + method) is None
