"""inference.v1.Admin/Explain: why a request would go where it would."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from gateway.channel.messages import AskWhy, Why
from gateway.control.admin import SERVICE
from gateway.types import Explanation
from inference.v1 import admin_pb2 as pb

_TIMEOUT_S = 3.0
"""For a worker to answer; the command waits longer."""
_NAMES_SHOWN = 10
"""Where a name is wrong."""


def explainer(ask: Callable[[AskWhy, float], Awaitable[Why | None]]) -> grpc.GenericRpcHandler:
    """Return what answers the RPC. `ask` puts a question to a worker, within so many seconds."""

    async def explain(request: pb.ExplainRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.ExplainResponse:
        question = _question(request)
        if question is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "request: is missing")
        answer = await ask(question, _TIMEOUT_S)
        if answer is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no worker answers")
        if answer.explanation is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, answer.error)
        if unknown := _unknown(request.excluded_replica_ids, answer.explanation):
            await context.abort(grpc.StatusCode.NOT_FOUND, unknown)
        return _shown(answer.explanation)

    method = grpc.unary_unary_rpc_method_handler(
        explain, pb.ExplainRequest.FromString, pb.ExplainResponse.SerializeToString
    )
    return grpc.method_handlers_generic_handler(SERVICE, {"Explain": method})


def _question(request: pb.ExplainRequest) -> AskWhy | None:
    """Return it without an id, which those who ask workers give."""
    which = request.WhichOneof("request")
    if which is None:
        return None
    path, message = (
        ("/inference.v1.Inference/Generate", request.generate)
        if which == "generate"
        else ("/inference.v1.Inference/Chat", request.chat)
    )
    fields = [(name.lower().encode(), value.encode()) for name, value in request.metadata.items()]
    return AskWhy(0, path, message.SerializeToString(), fields, list(request.excluded_replica_ids))


def _unknown(excluded: Sequence[str], explanation: Explanation) -> str:
    """Return a complaint of the first that is no replica of the fleet, all of which the explanation names."""
    known = sorted(one.replica_id for one in explanation.considered)
    wrong = next((each for each in excluded if each not in known), None)
    if wrong is None:
        return ""
    more = f" and {len(known) - _NAMES_SHOWN} more" if len(known) > _NAMES_SHOWN else ""
    return f"no replica is called {wrong!r}; there are: {', '.join(known[:_NAMES_SHOWN]) or 'none'}{more}"


def _shown(explanation: Explanation) -> pb.ExplainResponse:
    response = pb.ExplainResponse(
        route=explanation.route,
        policy=explanation.policy,
        compares=explanation.compares,
        outcome=explanation.outcome,
        reason=explanation.reason,
        replica_id=explanation.replica_id,
        prompt_tokens=explanation.prompt_tokens,
    )
    for one in explanation.considered:
        response.considered.add(
            id=one.replica_id,
            incarnation=one.incarnation,
            state=one.state,
            verdict=one.verdict,
            reason=one.reason,
            load=one.load,
            report_age_s=one.report_age_s,
            requests=one.requests,
            prefill_tokens=one.prefill_tokens,
            expected_wait_s=one.expected_wait_s,
            cached_tokens=one.cached_tokens,
            weight=one.weight,
        )
    return response
