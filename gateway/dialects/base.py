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
    rename: Callable[[Facts], bytes] | None = None
    """Returns what has to stand behind a message so that it has the model and adapter of the facts: of a field that
    stands there twice the last counts (protobuf's encoding, "Last One Wins"). Raises Failure. None: it has neither."""
    reads_request: bool = False
    """The pick needs the first message; else headers alone."""
    can_continue: bool = False
    """Only whole messages leave for the agent, and response headers wait for the first of them."""
    is_control: bool = False
    """The control process answers it: no pick, no lease, no second attempt."""
