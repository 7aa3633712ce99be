"""What the first message of a request says about where it may go."""

from typing import TYPE_CHECKING

from gateway.dialects.base import Method
from gateway.relay.request_body import RequestBody
from gateway.relay.route_metrics import RouteTally
from gateway.relay.why import Why, asked_by
from gateway.rpc.call import Call
from gateway.rpc.framing import inflate
from gateway.types import Facts

if TYPE_CHECKING:
    from gateway.relay.relay import Relay


def routed(
    relay: "Relay", call: Call, method: Method, body: RequestBody, message: bytes
) -> tuple[Facts, RouteTally, Why | None]:
    """Read the facts, and give the message the names of its route. Return also whom to tell why, if the agent asks.
    Raises Failure."""
    if body.is_compressed:
        message = inflate(message, call.encoding, relay.limits.request_bytes)
    own = method.facts(call, message)
    facts = relay.routes.resolve(own, call.fields)
    if method.rename is not None and (own.model, own.lora_name) != (facts.model, facts.lora_name):
        body.replace(message + method.rename(facts))
    tally = relay.metrics.routes.of(facts.route.name)
    why, facts = asked_by(facts, relay.explain_to) if call.asks_why else (None, facts)
    return facts, tally, why
