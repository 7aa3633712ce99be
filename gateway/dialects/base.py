"""What the gateway knows of one method."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.rpc.call import Call
from gateway.types import Facts


@dataclass(frozen=True, slots=True)
class Method:
    """How the requests and responses of one method are relayed."""

    label: str
    """In metrics: bounded in number."""
    facts: Callable[[Call, bytes], Facts]
    """Reads the first message (b"" unless `reads_request`), uncompressed. Raises Failure."""
    rename: Callable[[bytes, Facts], bytes] | None = None
    """Returns the message with the model and adapter of the facts instead of its own. None: it has none."""
    reads_request: bool = False
    """The pick needs the first message; else headers alone."""
    can_continue: bool = False
    """Only whole messages leave for the agent, and response headers wait for the first of them."""
    is_control: bool = False
    """The control process answers it: no pick, no lease, no second attempt."""
