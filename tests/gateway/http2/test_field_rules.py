from collections.abc import Callable

import pytest

from gateway.http2.field_rules import MalformedMessage, check_request, check_response, check_trailers, is_interim
from gateway.http2.headers import Field, Fields
from tests.gateway.http2.raw_peer import REQUEST, RESPONSE, TRAILERS

CHECKS: list[tuple[Callable[[Fields], int | None], tuple[Field, ...]]] = [
    (check_request, REQUEST),
    (check_response, RESPONSE),
]


@pytest.mark.parametrize(("check", "fields"), CHECKS)
@pytest.mark.parametrize(
    "field",
    [
        (b"te", b"trailers"),
        (b"x", b""),
        (b"x", b"a \t b"),
        (b"x", b"\xff\x7f"),
        (b"!#$%&'*+-.^_`|~", b"x"),
        (b"1", b"x"),
    ],
)
def test_well_formed_fields_pass(check: Callable[[Fields], int | None], fields: Fields, field: Field) -> None:
    assert check([*fields, field, field]) is None
    check_trailers([field])


@pytest.mark.parametrize(("check", "fields"), CHECKS)
@pytest.mark.parametrize(
    "field",
    [
        (b"connection", b"close"), (b"keep-alive", b"1"), (b"proxy-connection", b"x"), (b"transfer-encoding", b"x"),
        (b"upgrade", b"h"), (b"te", b"gzip"), (b"te", b"trailers, gzip"), (b"Name", b"x"), (b"", b"x"), (b"a b", b"x"),
        (b"a:", b"x"), (b"\xe4", b"x"), (b"a\x00", b"x"), (b":unknown", b"x"), (b"x", b"a\rb"), (b"x", b"a\nb"),
        (b"x", b"a\x00b"), (b"x", b" a"), (b"x", b"a\t"), (b"content-length", b"x"), (b"content-length", b"-1"),
        (b"content-length", b"1" * 19), (b"content-length", b""),
    ],
)  # fmt: skip
def test_a_malformed_field_makes_the_message_so(
    check: Callable[[Fields], int | None], fields: Fields, field: Field
) -> None:
    with pytest.raises(MalformedMessage):
        check([*fields, field])


@pytest.mark.parametrize("field", [(b":status", b"200"), (b":path", b"/"), (b"connection", b"x"), (b"A", b"x")])
def test_trailers_have_no_pseudo_header_fields(field: Field) -> None:
    check_trailers(TRAILERS)
    with pytest.raises(MalformedMessage):
        check_trailers([*TRAILERS, field])


@pytest.mark.parametrize("name", [b":method", b":scheme", b":path"])
def test_a_request_has_each_pseudo_header_field_once(name: bytes) -> None:
    without = [field for field in REQUEST if field[0] != name]
    for fields in (without, [*REQUEST, (name, b"/")], [*without, (b"x", b"y"), (name, b"/")], [(name, b"/"), *REQUEST]):
        with pytest.raises(MalformedMessage):
            check_request(fields)


@pytest.mark.parametrize("field", [(b":status", b"200"), (b":protocol", b"websocket")])
def test_a_request_has_no_other_pseudo_header_field(field: Field) -> None:
    with pytest.raises(MalformedMessage):
        check_request([*REQUEST, field])


def test_a_path_is_not_empty() -> None:
    with pytest.raises(MalformedMessage):
        check_request([(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"")])


def test_authority_may_be_absent() -> None:
    assert check_request(REQUEST[:3]) is None


@pytest.mark.parametrize(
    "fields",
    [
        [(b":method", b"CONNECT")],
        [(b":method", b"CONNECT"), (b":authority", b"a"), (b":path", b"/")],
        [(b":method", b"CONNECT"), (b":authority", b"a"), (b":scheme", b"http")],
    ],
)
def test_connect_names_an_authority_and_nothing_else(fields: Fields) -> None:
    check_request([(b":method", b"CONNECT"), (b":authority", b"a")])
    with pytest.raises(MalformedMessage):
        check_request(fields)


def test_host_says_the_same_as_authority() -> None:
    check_request([*REQUEST, (b"host", b"gateway")])
    check_request([*REQUEST[:3], (b"host", b"other")])
    for hosts in ([(b"host", b"other")], [(b"host", b"gateway"), (b"host", b"other")]):
        with pytest.raises(MalformedMessage):
            check_request([*REQUEST, *hosts])


@pytest.mark.parametrize("status", [b"", b"20", b"2000", b"abc", b"101"])
def test_a_response_has_a_status(status: bytes) -> None:
    with pytest.raises(MalformedMessage):
        check_response([(b":status", status)])
    with pytest.raises(MalformedMessage):
        check_response([])


def test_a_response_below_200_is_followed_by_another() -> None:
    assert is_interim([(b":status", b"103")])
    assert not is_interim([(b":status", b"200")])


def test_content_length_is_returned() -> None:
    assert check_request([*REQUEST, (b"content-length", b"10"), (b"content-length", b"10")]) == 10
    assert check_response([*RESPONSE, (b"content-length", b"0")]) == 0
    with pytest.raises(MalformedMessage):
        check_request([*REQUEST, (b"content-length", b"10"), (b"content-length", b"11")])
