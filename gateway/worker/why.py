"""What would become of a request: asked by operators, answered without sending it."""

from gateway.channel.messages import AskWhy, Why
from gateway.dispatch.dispatch import Dispatcher
from gateway.errors import Failure
from gateway.http2.headers import FieldList
from gateway.relay.relay import Relay
from gateway.rpc.call import Call

__all__ = ["why"]


def why(question: AskWhy, relay: Relay, dispatcher: Dispatcher) -> Why:
    """Read the request as an agent's would be read, and ask what the dispatcher would do with it."""
    call = Call(question.path, None, b"", FieldList(question.fields))
    try:
        facts = relay.methods.find(call.path).facts(call, question.request)
        facts = relay.routes.resolve(facts, call.fields)
    except Failure as failure:
        return Why(question.id, None, failure.message)
    return Why(question.id, dispatcher.explain(facts, relay.clock(), frozenset(question.excluded)))
