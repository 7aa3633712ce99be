import pytest

from gateway.errors import Failure, Reason
from gateway.http2.headers import Field, FieldList
from gateway.rpc.call import Call, read_call
from gateway.rpc.plain import NotGrpc

NOW_S = 100.0


def headers(*, method: bytes = b"POST", path: bytes = b"/a.B/C", more: tuple[Field, ...] = ()) -> FieldList:
    fields: list[Field] = [
        (b":method", method),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"gateway"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc+proto"),
        *more,
    ]
    return FieldList(fields)


def read(*, method: bytes = b"POST", path: bytes = b"/a.B/C", more: tuple[Field, ...] = ()) -> Call:
    return read_call(headers(method=method, path=path, more=more), NOW_S)


def test_the_call_is_what_the_headers_say() -> None:
    call = read(more=((b"grpc-timeout", b"2S"), (b"grpc-encoding", b"gzip"), (b"key", b"1"), (b"key", b"2")))
    assert call.path == "/a.B/C"
    assert call.deadline_at == NOW_S + 2
    assert call.encoding == b"gzip"
    assert call.fields[-2:] == [(b"key", b"1"), (b"key", b"2")]


def test_without_a_timeout_there_is_no_deadline() -> None:
    call = read()
    assert call.deadline_at is None
    assert call.timeout_at(NOW_S) == []
    assert call.fields == headers()


def test_each_attempt_is_told_the_time_that_is_left() -> None:
    call = read(more=((b"grpc-timeout", b"2S"),))
    assert call.timeout_at(NOW_S) == [(b"grpc-timeout", b"2000000u")]
    assert call.timeout_at(NOW_S + 1.5) == [(b"grpc-timeout", b"500000u")]
    assert call.timeout_at(NOW_S + 3) == [(b"grpc-timeout", b"1u")]
    assert call.fields == headers()


def test_headers_met_again_are_read_once_and_timed_anew() -> None:
    fields = headers(more=((b"grpc-timeout", b"2S"),))
    first, second = read_call(fields, NOW_S), read_call(fields, NOW_S + 1)
    assert first.fields is second.fields
    assert (first.deadline_at, second.deadline_at) == (NOW_S + 2, NOW_S + 3)


def test_what_concerns_one_hop_stays_on_it() -> None:
    call = read(more=((b"x-gateway-id", b"forged"), (b"content-length", b"7")))
    assert call.fields == headers()


@pytest.mark.parametrize(
    "path",
    [
        b"/", b"a.B/C", b"//a.B/C", b"/a.B/C/", b"/a.B//C", b"/a.B", b"/a.B/", b"/a.B/C?x=1", b"/a.B/%43", b"/a.B/C#",
        b"/a.B/../C", b"/a.B/C\xff", b"*", b"http://h/a.B/C", b"/a B/C", b"/a.B/C.D",
    ],
)  # fmt: skip
def test_only_canonical_paths_name_methods(path: bytes) -> None:
    with pytest.raises(Failure) as failed:
        read(path=path)
    assert failed.value.reason is Reason.METHOD_NOT_FOUND


def test_a_malformed_timeout_is_refused() -> None:
    with pytest.raises(Failure) as failed:
        read(more=((b"grpc-timeout", b"soon"),))
    assert failed.value.reason is Reason.INVALID_REQUEST


@pytest.mark.parametrize("content_type", [b"application/grpc", b"application/grpc+json", b"application/grpc;x=y"])
def test_every_encoding_of_messages_passes(content_type: bytes) -> None:
    fields = FieldList([*headers()[:-1], (b"content-type", content_type)])
    assert read_call(fields, NOW_S).path == "/a.B/C"


def test_what_is_not_grpc_is_no_call() -> None:
    with pytest.raises(NotGrpc):
        read_call(FieldList([(b":method", b"CONNECT"), (b":authority", b"gateway")]), NOW_S)
