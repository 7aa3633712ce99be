"""From a status to an exception."""

import pytest

from gateway.client.errors import (
    InferenceError,
    InvalidRequest,
    MethodNotFound,
    NoReplicaReady,
    RequestRejected,
    Unavailable,
)
from gateway.client.translation import ERRORS, details_of, error_for
from gateway.errors import Failure, Reason
from gateway.rpc.status import CODES, Code, status_of


def raised_for(failure: Failure) -> InferenceError:
    status = status_of(failure)
    return error_for(status.code, status.message, details_of([("grpc-status-details-bin", status.details())]))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_an_exception_that_says_the_same(reason: Reason) -> None:
    error = raised_for(Failure(reason, "why", metadata={"replica": "a"}))
    assert type(error) is ERRORS[reason]
    assert (error.code, error.reason, error.message) == (CODES[reason], reason, "why")
    assert error.metadata == {"replica": "a"}


@pytest.mark.parametrize("reason", Reason)
def test_a_retry_makes_sense_where_the_same_request_may_succeed(reason: Reason) -> None:
    error = raised_for(Failure(reason, "why"))
    assert error.retry_makes_sense == isinstance(error, Unavailable)
    assert not (isinstance(error, RequestRejected) and error.retry_makes_sense)
    assert raised_for(Failure(reason, "why", retry_after_s=1.5)).retry_after_s == 1.5


def test_a_reason_that_is_not_known_falls_back_to_the_code() -> None:
    status = status_of(Failure(Reason.NO_REPLICA_READY, "why"))
    newer = status.details().replace(b"NO_REPLICA_READY", b"MOON_IS_NOT_FULL")
    error = error_for(Code.UNAVAILABLE, "why", details_of([("grpc-status-details-bin", newer)]))
    assert type(error) is Unavailable
    assert error.reason == "MOON_IS_NOT_FULL"


def test_a_reason_of_another_domain_is_none_of_ours() -> None:
    status = status_of(Failure(Reason.NO_REPLICA_READY, "why"))
    foreign = status.details().replace(b"inference.v1", b"example.com.")
    error = error_for(Code.UNAVAILABLE, "why", details_of([("grpc-status-details-bin", foreign)]))
    assert (type(error), error.reason) == (Unavailable, "")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(Code.INVALID_ARGUMENT, InvalidRequest), (Code.UNIMPLEMENTED, MethodNotFound), (Code.ABORTED, InferenceError)],
)
def test_a_bare_code_says_what_it_can(code: Code, kind: type[InferenceError]) -> None:
    error = error_for(code, "why", details_of([]))
    assert type(error) is kind
    assert str(error) == f"{code.name}: why"


def test_details_that_cannot_be_parsed_leave_the_code() -> None:
    error = error_for(Code.UNAVAILABLE, "why", details_of([("grpc-status-details-bin", b"\xff\xff\xff")]))
    assert type(error) is Unavailable
    assert error.retry_makes_sense


@pytest.mark.parametrize(
    ("pushback", "retry_makes_sense", "retry_after_s"),
    [("250", True, 0.25), ("0", True, 0.0), ("-1", False, None), ("soon", False, None)],
)
def test_pushback_alone_says_whether_to_come_back(
    pushback: str, retry_makes_sense: bool, retry_after_s: float | None
) -> None:
    error = error_for(Code.RESOURCE_EXHAUSTED, "why", details_of([("grpc-retry-pushback-ms", pushback)]))
    assert (error.retry_makes_sense, error.retry_after_s) == (retry_makes_sense, retry_after_s)


def test_pushback_can_forbid_what_the_reason_would_allow() -> None:
    status = status_of(Failure(Reason.NO_REPLICA_READY, "why"))
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", status.details()),
        ("grpc-retry-pushback-ms", "-1"),
    ]
    error = error_for(status.code, status.message, details_of(trailers))
    assert isinstance(error, NoReplicaReady)
    assert not error.retry_makes_sense
