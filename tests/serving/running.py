"""A replica in this process, on a free port, and what its agents see."""

import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import msgspec
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub
from serving.app import Replica
from serving.config import Settings
from tests.serving.fakes import FakeEngine

if TYPE_CHECKING:
    from inference.v1.inference_pb2_grpc import InferenceAsyncStub

SETTINGS = Settings(
    model="fake",
    listen="127.0.0.1:0",
    metrics_listen="127.0.0.1:0",
    grace_s=5.0,
    drain_pause_s=0.0,
    load_report_floor_s=0.01,
    load_report_heartbeat_s=0.1,
)


@dataclass
class Running:
    replica: Replica
    engine: FakeEngine
    channel: aio.Channel

    @property
    def stub(self) -> "InferenceAsyncStub":
        return InferenceStub(self.channel)


@asynccontextmanager
async def running(
    engine: FakeEngine | None = None, *, is_open: bool = True, **changes: Any
) -> AsyncGenerator[Running, None]:
    """Run a replica, and an agent's channel to it."""
    engine = engine or FakeEngine()
    settings = msgspec.structs.replace(SETTINGS, **changes)
    async with Replica(settings, time.monotonic, random.Random(1)).listening() as replica:
        if is_open:
            await open_replica(replica, engine)
        async with aio.insecure_channel(f"127.0.0.1:{replica.port}") as channel:
            yield Running(replica, engine, channel)


async def open_replica(replica: Replica, engine: FakeEngine) -> None:
    """Open it with the warm-up out of the way of what a test asks the engine to do."""
    hold, failure, engine.hold, engine.failure = engine.hold, engine.failure, None, None
    await replica.open(engine)
    engine.hold, engine.failure = hold, failure
    engine.seen.clear()
    engine.released.clear()
    engine.closed = 0


@dataclass(frozen=True)
class Ended:
    """How a call ended."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    retry_after_s: float | None
    pushback_ms: str | None


def ended(error: aio.AioRpcError) -> Ended:
    trailers = dict(error.trailing_metadata() or ())
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    retry_after_s = None
    for detail in status_pb2.Status.FromString(as_bytes(trailers.get("grpc-status-details-bin", b""))).details:
        if detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
        detail.Unpack(info)
    pushback = trailers.get("grpc-retry-pushback-ms")
    return Ended(
        error.code(),
        error.details() or "",
        info.reason,
        dict(info.metadata),
        retry_after_s,
        None if pushback is None else str(pushback),
    )


def as_bytes(value: str | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def request(text: str = "prompt", **fields: Any) -> pb.GenerateRequest:
    sampling = pb.SamplingParameters(**fields.pop("sampling", {}))
    return pb.GenerateRequest(text=text, sampling=sampling, **fields)


def conversation(text: str = "hi", **fields: Any) -> pb.ChatRequest:
    message = pb.ChatMessage(role=pb.ROLE_USER, parts=[pb.ContentPart(text=text)])
    return pb.ChatRequest(messages=[message], **fields)


async def until(condition: Callable[[], bool], changes: Callable[[], Any]) -> None:
    """Wait for a condition that is to be looked at after each change."""
    while not condition():
        await changes()
