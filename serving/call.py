"""What every request has in common: whether it is taken, what it counts for, and how it ends on the wire."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import grpc
from grpc import aio

from gateway.rpc.status import CODES, Code, Failure, Reason, status_of
from serving.engine import ContinuationImpossible, EngineDead, EngineOverloaded, UnsupportedField
from serving.lifecycle import Event, Lifecycle
from serving.load import GATEWAY_ID, TRAILER, Cost, Load
from serving.metrics import Metrics
from serving.validate import invalid

Context = aio.ServicerContext[bytes, bytes]

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OURS = frozenset({Code.UNKNOWN, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS})
"""Statuses that count as this replica's errors in load reports."""

_REASONS: Mapping[type[Exception], Reason] = {
    ContinuationImpossible: Reason.CONTINUATION_IMPOSSIBLE,
    EngineOverloaded: Reason.OVERLOADED,
    EngineDead: Reason.REPLICA_FAILED,
}

_CLOCKS_DIFFER_S = 0.01

_log = logging.getLogger(__name__)


class Call:
    """One request."""

    def __init__(self, method: str, gateway_id: str, began_at: float) -> None:
        self.method = method
        self.gateway_id = gateway_id
        self.began_at = began_at
        self.first_token_at: float | None = None
        self.cost: Cost | None = None


class Calls:
    """Begins and ends each call: refusal, counters, status, trailers."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        load: Load,
        metrics: Metrics,
        retry_after_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._lifecycle = lifecycle
        self._load = load
        self._metrics = metrics
        self._retry_after_s = retry_after_s
        self._clock = clock

    async def run(self, method: str, context: Context, respond: Callable[[Call], Awaitable[bytes]]) -> bytes:
        """Return what `respond` returns; every error of it ends the call with a status of its own. Where the agent has
        gone `respond` is cancelled, wherever it stands."""
        call = Call(method, metadata_value(context, GATEWAY_ID), self._clock())
        code, response, failure = Code.CANCELLED, b"", None
        self._load.begin(call.gateway_id)
        try:
            self._lifecycle.check_accepts()
            response, code = await respond(call), Code.OK
        except asyncio.CancelledError:
            code = _code_of_cancellation(context)
            raise
        except Exception as error:  # noqa: BLE001 - the one place where errors become statuses
            failure = self._failure_of(error)
            code = CODES[failure.reason]
        finally:
            self._load.end(has_failed=code in _OURS)
            self._note(call, code)
        trailer = TRAILER, self._load.report(self._load.state(call.gateway_id), call.cost)
        if failure is not None:
            await _abort(context, failure, trailer)
        context.set_trailing_metadata((trailer,))
        return response

    def took_tokens(self, call: Call, tokens: int) -> None:
        """Note that a stream has so many tokens more."""
        self._metrics.completion_tokens += tokens
        if call.first_token_at is None:
            call.first_token_at = self._clock()
            self._metrics.first_token(call.first_token_at - call.began_at)

    def _note(self, call: Call, code: Code) -> None:
        self._metrics.answered(call.method, code.name)
        if call.cost is not None:
            self._metrics.spent(call.cost)
        if call.cost is not None and call.first_token_at is not None and code is Code.OK:
            self._metrics.streamed(self._clock() - call.first_token_at, call.cost.completion_tokens)

    def _failure_of(self, error: Exception) -> Failure:
        if isinstance(error, Failure):
            return error
        if isinstance(error, UnsupportedField):
            return invalid(error.field_name, error.message)
        if isinstance(error, EngineDead):
            self._lifecycle.apply(Event.ENGINE_DIED)
        reason = _REASONS.get(type(error))
        if reason is None:
            _log.error("a defect", exc_info=error)
            return Failure(Reason.INTERNAL, f"{type(error).__name__}: see the replica's log")
        may_retry = reason is not Reason.CONTINUATION_IMPOSSIBLE
        return Failure(reason, str(error), retry_after_s=self._retry_after_s if may_retry else None)


def metadata_value(context: aio.ServicerContext[Any, Any], name: str) -> str:
    """Return the first value of a request's metadata; empty where there is none."""
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return value if isinstance(value, str) else ""
    return ""


def _code_of_cancellation(context: Context) -> Code:
    # None where there is no deadline, although its type does not say so. The agent's own clock may be a little ahead.
    left_s = cast(float | None, context.time_remaining())
    return Code.DEADLINE_EXCEEDED if left_s is not None and left_s < _CLOCKS_DIFFER_S else Code.CANCELLED


async def _abort(context: Context, failure: Failure, trailer: tuple[str, bytes]) -> None:
    status = status_of(failure)
    trailers: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", status.details()), trailer]
    pushback = status.pushback_ms()
    if pushback is not None:
        trailers.append(("grpc-retry-pushback-ms", pushback.decode()))
    await context.abort(_GRPC_CODES[status.code], status.message, tuple(trailers))
