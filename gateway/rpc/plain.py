"""What somebody is told who speaks HTTP, but no gRPC: a person with a browser or curl, a probe, a test suite."""

from typing import Final

from gateway.http2.headers import Field, Fields
from gateway.http2.preface import Greeting, greeting

_PAGE: Final = (
    b"This is an inference gateway. It serves gRPC over HTTP/2: service inference.v1.Inference.\n"
    b"Ask it with a gRPC client, or with: inference-gateway generate --help\n"
)
_NOTHING: Final = b"There is nothing here. GET / says what this is.\n"


def _http1_answer(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


HTTP1_ANSWER: Final = _http1_answer(
    b"505 HTTP Version Not Supported",
    b"This port speaks gRPC over HTTP/2: use a gRPC client, or curl with --http2-prior-knowledge (https: --http2).\n",
)
_TLS_ANSWER: Final = _http1_answer(b"400 Bad Request", b"This port speaks TLS: use https.\n")


def plain_text_answer(data: bytes) -> bytes:
    """Return what to tell a peer, by the first that it said, that speaks plain text where TLS is spoken.

    HTTP/2 gets HTTP/1 too: after valid SETTINGS, gRPC clients take a GOAWAY for a reason to connect again at once, and
    go on until their deadline. By this they end with UNAVAILABLE."""
    return _TLS_ANSWER if greeting(data) in (Greeting.HTTP1, Greeting.HTTP2) else b""


class NotGrpc(Exception):
    """A request that gets a plain HTTP answer."""

    def __init__(self, status: bytes, body: bytes, *more: Field, is_head: bool = False) -> None:
        """`is_head`: the body is only described."""
        super().__init__(status)
        length = b"%d" % len(body)
        self.fields: Fields = (
            (b":status", status),
            (b"content-type", b"text/plain"),
            (b"content-length", length),
            *more,
        )
        self.body = b"" if is_head else body


def require_grpc(method: bytes, path: bytes, content_type: bytes) -> None:
    """Raise NotGrpc unless these may begin a gRPC call (PROTOCOL-HTTP2.md, Requests)."""
    if method in (b"GET", b"HEAD"):
        status, body = (b"200", _PAGE) if path == b"/" else (b"404", _NOTHING)
        raise NotGrpc(status, body, is_head=method == b"HEAD")
    if method != b"POST":
        raise NotGrpc(b"405", b"gRPC is POST.\n", (b"allow", b"GET, HEAD, POST"))
    subtype = content_type.lower().removeprefix(b"application/grpc")
    # application/grpc-web is another protocol.
    if subtype == content_type.lower() or subtype[:1] not in (b"", b"+", b";"):
        raise NotGrpc(b"415", b"The content-type of gRPC is application/grpc.\n")
