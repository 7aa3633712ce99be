import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Failure, Reason
from gateway.http2.frames import ErrorCode
from gateway.rpc.metadata import decode_binary
from gateway.rpc.status import (
    CODES,
    DOMAIN,
    Code,
    Status,
    code_of_http_status,
    code_of_reset,
    percent_decode,
    percent_encode,
    status_of,
)


def test_every_reason_has_a_code() -> None:
    assert CODES.keys() == set(Reason)
    assert Code.OK not in CODES.values()


@given(st.text())
def test_a_message_survives_percent_encoding(message: str) -> None:
    encoded = percent_encode(message)
    assert percent_decode(encoded) == message
    assert all(0x20 <= byte <= 0x7E for byte in encoded)


@given(st.binary())
def test_any_bytes_can_be_read_as_a_message(message: bytes) -> None:
    percent_decode(message)


def test_only_what_must_be_is_percent_encoded() -> None:
    assert percent_encode("50% of “it”\n") == b"50%25 of %E2%80%9Cit%E2%80%9D%0A"


def test_a_failure_says_what_when_and_where() -> None:
    failure = Failure(Reason.NO_REPLICA_READY, "none", retry_after_s=1.5, metadata={"model": "m"})
    trailers = dict(status_of(failure).trailers())
    status = status_pb2.Status.FromString(decode_binary(trailers[b"grpc-status-details-bin"]))
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (trailers[b"grpc-status"], trailers[b"grpc-message"]) == (b"14", b"none")
    assert trailers[b"grpc-retry-pushback-ms"] == b"1500"
    assert (status.code, status.message) == (14, "none")
    assert (info.reason, info.domain, dict(info.metadata)) == ("NO_REPLICA_READY", DOMAIN, {"model": "m"})
    assert retry.retry_delay.ToTimedelta().total_seconds() == 1.5


def test_a_failure_that_a_retry_cannot_help_offers_none() -> None:
    trailers = dict(status_of(Failure(Reason.INVALID_REQUEST, "bad")).trailers())
    status = status_pb2.Status.FromString(decode_binary(trailers[b"grpc-status-details-bin"]))
    assert len(status.details) == 1
    assert b"grpc-retry-pushback-ms" not in trailers


def test_a_status_without_reason_or_message_is_one_field() -> None:
    assert Status(Code.OK).trailers() == [(b"grpc-status", b"0")]


@given(st.text(st.characters(), max_size=10_000), st.text(max_size=10_000))
def test_trailers_fit_whatever_the_failure_quotes(message: str, value: str) -> None:
    failure = Failure(Reason.MODEL_NOT_FOUND, message, metadata={"model": value})
    assert sum(len(name) + len(value) + 32 for name, value in status_of(failure).trailers()) < 8 * 1024


def test_text_that_utf_8_cannot_carry_does_not_break_a_status() -> None:
    trailers = dict(status_of(Failure(Reason.INTERNAL, "\ud800")).trailers())
    assert trailers[b"grpc-message"] == b"?"


@pytest.mark.parametrize(
    ("http_status", "code"),
    [
        (b"400", Code.INTERNAL),
        (b"401", Code.UNAUTHENTICATED),
        (b"403", Code.PERMISSION_DENIED),
        (b"404", Code.UNIMPLEMENTED),
        (b"429", Code.UNAVAILABLE),
        (b"503", Code.UNAVAILABLE),
        (b"200", Code.UNKNOWN),
        (b"500", Code.UNKNOWN),
    ],
)
def test_http_statuses_map_as_grpc_says(http_status: bytes, code: Code) -> None:
    assert code_of_http_status(http_status) is code


@pytest.mark.parametrize("error", ErrorCode)
def test_reset_codes_map_as_grpc_says(error: ErrorCode) -> None:
    told = {
        ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
        ErrorCode.CANCEL: Code.CANCELLED,
        ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
        ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
    }
    assert code_of_reset(error) is told.get(error, Code.INTERNAL)
