"""The agents' stub: streams tokens from a gateway, or straight from a replica.

`Client` is for asyncio, `SyncClient` for threads. docs/client.md shows both at work.
"""

from gateway.client.client import Client, Stream
from gateway.client.errors import InferenceError
from gateway.client.messages import Image, Message, Tool, ToolCall
from gateway.client.options import TLS
from gateway.client.results import (
    ChatDelta,
    Completion,
    Embeddings,
    FinishReason,
    GenerateDelta,
    Model,
    Reply,
    Tokens,
    Usage,
)
from gateway.client.session import Session
from gateway.client.sync import SyncClient, SyncStream

__all__ = [
    "TLS",
    "ChatDelta",
    "Client",
    "Completion",
    "Embeddings",
    "FinishReason",
    "GenerateDelta",
    "Image",
    "InferenceError",
    "Message",
    "Model",
    "Reply",
    "Session",
    "Stream",
    "SyncClient",
    "SyncStream",
    "Tokens",
    "Tool",
    "ToolCall",
    "Usage",
]
