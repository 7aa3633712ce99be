"""Services that the gateway relays without knowing them: a pick on headers alone, every kind of method."""

from gateway.dialects.base import Method
from gateway.rpc.call import Call
from gateway.types import Facts


def method(service: str) -> Method:
    return Method(label=service, facts=_facts)


def _facts(call: Call, message: bytes) -> Facts:
    return Facts(method=call.path, model=None, deadline_at=call.deadline_at, spiffe_id=call.spiffe_id)
