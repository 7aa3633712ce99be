"""Why an agent's request went where it went, in the trailers of its answer, for agents that ask and may know."""

import json
from collections.abc import Container
from math import isfinite

from msgspec.structs import replace

from gateway.http2.headers import Fields
from gateway.types import Considered, Explanation, Facts

__all__ = ["EVERYBODY", "TRAILER", "Why", "asked_by"]

TRAILER = b"x-gateway-explain"
EVERYBODY = "*"
_BEST = 8
_VALUE_BYTES = 4_096
"""Of the 8 KiB that gRPC takes for all trailers by default, half: a status has its message and details there too."""
_TEXT_CHARS = 200


class Why:
    """Is told by the dispatcher, of the last dispatch if there are several."""

    __slots__ = ("_explanation",)

    def __init__(self) -> None:
        self._explanation: Explanation | None = None

    def __call__(self, explanation: Explanation) -> None:
        self._explanation = explanation

    def trailers(self) -> Fields:
        """Return nothing where the request was never dispatched."""
        return () if self._explanation is None else ((TRAILER, _value(self._explanation)),)


def asked_by(facts: Facts, may_know: Container[str]) -> tuple[Why | None, Facts]:
    """Return who is told, and facts that say so. None: this agent may not know."""
    if EVERYBODY not in may_know and (not facts.spiffe_id or facts.spiffe_id not in may_know):
        return None, facts
    why = Why()
    return why, replace(facts, explained=why)


def _value(explanation: Explanation) -> bytes:
    """Return ASCII JSON with as many of the best replicas as there is room for."""
    considered = [_shown(one) for one in explanation.considered[:_BEST]]
    while True:
        value = json.dumps(_summary(explanation) | {"considered": considered}, separators=(",", ":")).encode()
        if len(value) <= _VALUE_BYTES or not considered:
            return value[:_VALUE_BYTES]
        considered.pop()


def _summary(explanation: Explanation) -> dict[str, object]:
    return {
        "route": explanation.route[:_TEXT_CHARS],
        "policy": explanation.policy[:_TEXT_CHARS],
        "compares": explanation.compares,
        "outcome": explanation.outcome,
        "reason": explanation.reason[:_TEXT_CHARS],
        "replica_id": explanation.replica_id[:_TEXT_CHARS],
        "prompt_tokens": explanation.prompt_tokens,
    }


def _shown(one: Considered) -> dict[str, object]:
    """Return its fields, numbers rounded; JSON has no infinity."""
    return {
        name: (round(value, 4) if isfinite(value) else None) if isinstance(value, float) else value
        for name, value in one._asdict().items()
    }
