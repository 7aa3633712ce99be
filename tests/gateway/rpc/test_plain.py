import pytest

from gateway.http2.field_rules import check_response
from gateway.rpc.plain import HTTP1_ANSWER, NotGrpc, require_grpc


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        (b"GET", b"/", b"", b"200"),
        (b"HEAD", b"/", b"", b"200"),
        (b"GET", b"/favicon.ico", b"", b"404"),
        (b"HEAD", b"/favicon.ico", b"", b"404"),
        (b"PUT", b"/", b"application/grpc", b"405"),
        (b"CONNECT", b"", b"", b"405"),
        (b"post", b"/a.B/C", b"application/grpc", b"405"),
        (b"POST", b"/a.B/C", b"", b"415"),
        (b"POST", b"/a.B/C", b"application/json", b"415"),
        (b"POST", b"/a.B/C", b"application/grpc-web", b"415"),
        (b"POST", b"/a.B/C", b"application/grpcx", b"415"),
    ],
)
def test_what_is_not_grpc_gets_a_plain_answer(method: bytes, path: bytes, content_type: bytes, status: bytes) -> None:
    with pytest.raises(NotGrpc) as answer:
        require_grpc(method, path, content_type)
    assert answer.value.fields[0] == (b":status", status)
    assert check_response(answer.value.fields) == len(answer.value.body) or method == b"HEAD"


def test_head_describes_what_get_would_bring() -> None:
    answers = [plain_answer(method) for method in (b"GET", b"HEAD")]
    assert answers[0].fields == answers[1].fields
    assert (len(answers[0].body) > 0, answers[1].body) == (True, b"")


@pytest.mark.parametrize("content_type", [b"application/grpc", b"application/grpc+proto", b"Application/gRPC;a=b"])
def test_grpc_passes(content_type: bytes) -> None:
    require_grpc(b"POST", b"/", content_type)


def test_the_page_says_what_listens_here() -> None:
    assert b"gRPC" in plain_answer(b"GET").body


def test_the_answer_to_http_1_is_as_long_as_it_says() -> None:
    head, body = HTTP1_ANSWER.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 505 ")
    assert b"content-length: %d" % len(body) in head
    assert body.count(b"\n") == 1


def plain_answer(method: bytes) -> NotGrpc:
    with pytest.raises(NotGrpc) as answer:
        require_grpc(method, b"/", b"")
    return answer.value
