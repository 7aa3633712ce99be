"""RFC 9113 as a client: what servers may and may not do. Stream 1 is ours, its request has ended."""

# ruff: noqa: E501 - one case a line is a table

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode, Setting
from tests.gateway.http2.cases import Case, ends, parametrized, passes, resets_stream, run
from tests.gateway.http2.raw_peer import (
    ACK,
    ALL,
    END_HEADERS,
    END_STREAM,
    RESPONSE,
    SETTINGS_ACK,
    TRAILERS,
    RawPeer,
    block,
    continuation,
    data,
    headers,
    settings,
)

PROTOCOL_ERROR = ends(ErrorCode.PROTOCOL_ERROR)
MALFORMED = resets_stream(ErrorCode.PROTOCOL_ERROR)
ANSWER = headers(fields=RESPONSE)
END = headers(fields=TRAILERS, flags=ALL)
EARLY_HINTS = headers(fields=[(b":status", b"103"), (b"link", b"x")])


def response(*fields: tuple[bytes, bytes], flags: int = END_HEADERS) -> bytes:
    return headers(fields=[*RESPONSE, *fields], flags=flags)


CASES = [
    Case("3.4", "the first frame of a server is not SETTINGS", [ANSWER], PROTOCOL_ERROR, opening=b""),
    Case("3.4", "the first frame of a server is an ACK", [SETTINGS_ACK], PROTOCOL_ERROR, opening=b""),
    Case("5.1", "a stream that we have not opened: DATA", [data(3)], PROTOCOL_ERROR),
    Case("5.1", "a stream that we have not opened: RST_STREAM", [frames.rst_stream(3, 0)], PROTOCOL_ERROR),
    Case("5.1", "closed: DATA", [ANSWER, END, data()], resets_stream(ErrorCode.STREAM_CLOSED)),
    Case("5.1", "closed: HEADERS", [ANSWER, END, END], ends(ErrorCode.STREAM_CLOSED)),
    Case("5.1.1", "a stream opened by the server", [headers(2, RESPONSE)], PROTOCOL_ERROR),
    Case("6.5.2", "ENABLE_PUSH of a server", [settings((Setting.ENABLE_PUSH, 1))], PROTOCOL_ERROR),
    Case("6.5.2", "ENABLE_PUSH 0 of a server", [settings((Setting.ENABLE_PUSH, 0))], passes()),
    Case("6.6", "PUSH_PROMISE", [frames.frame(frames.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(RESPONSE))], PROTOCOL_ERROR),
    Case("6.10", "a header block in many frames", [headers(fields=RESPONSE[:1], flags=0), continuation(block(RESPONSE[1:])), END], passes()),
    Case("8.1", "headers, DATA and trailers", [ANSWER, data(), END], passes()),
    Case("8.1", "headers alone", [response(flags=ALL)], passes()),
    Case("8.1", "headers and DATA that ends the stream", [ANSWER, data(flags=END_STREAM)], passes()),
    Case("8.1", "interim responses before the final one", [EARLY_HINTS, EARLY_HINTS, ANSWER, data(), END], passes()),
    Case("8.1", "an interim response that ends the stream", [headers(fields=[(b":status", b"100")], flags=ALL)], MALFORMED),
    Case("8.1", "DATA before headers", [data()], MALFORMED),
    Case("8.1", "DATA behind an interim response", [EARLY_HINTS, data()], MALFORMED),
    Case("8.1", "a second final response", [ANSWER, ANSWER], MALFORMED),
    Case("8.1", "trailers that do not end the stream", [ANSWER, headers(fields=TRAILERS)], MALFORMED),
    Case("8.1.1", "content as long as content-length", [response((b"content-length", b"7")), data(), END], passes()),
    Case("8.1.1", "content longer than content-length", [response((b"content-length", b"6")), data()], MALFORMED),
    Case("8.1.1", "content shorter than content-length", [response((b"content-length", b"8")), data(), END], MALFORMED),
    Case("8.1.1", "a response to HEAD states a length", [response((b"content-length", b"8"), flags=ALL)], passes()),
    Case("8.2.1", "a field name in upper case", [response((b"X-Test", b"ok"))], MALFORMED),
    Case("8.2.2", "a field that concerns the connection", [response((b"connection", b"close"))], MALFORMED),
    Case("8.3", "a pseudo-header field of requests", [response((b":path", b"/"))], MALFORMED),
    Case("8.3", "a pseudo-header field in trailers", [ANSWER, headers(fields=[(b":status", b"200")], flags=ALL)], MALFORMED),
    Case("8.3.2", "no :status", [headers(fields=RESPONSE[1:])], MALFORMED),
    Case("8.3.2", "two :status", [response((b":status", b"200"))], MALFORMED),
    Case("8.6", "101", [headers(fields=[(b":status", b"101")])], MALFORMED),
    Case("6.5.3", "an ACK with a payload", [frames.frame(frames.SETTINGS, ACK, 0, bytes(6))], ends(ErrorCode.FRAME_SIZE_ERROR)),
]  # fmt: skip


@parametrized(CASES)
def test_client(case: Case) -> None:
    peer = RawPeer(is_server=False, opening=case.opening)
    peer.open(is_end=True)
    peer.sent()
    run(case, peer)


def test_the_receiver_is_told_of_the_server_s_breach() -> None:
    peer = RawPeer(is_server=False)
    _, recorder = peer.open()
    peer.send(data())
    assert recorder.events == [("reset", ErrorCode.PROTOCOL_ERROR)]
