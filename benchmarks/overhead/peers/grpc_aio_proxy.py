"""The usual Python proxy: grpc.aio on both sides, messages passed through as bytes.

python -m benchmarks.overhead.peers.grpc_aio_proxy PORT REPLICA_PORT ...
"""

import sys
from collections.abc import AsyncIterator, Callable
from itertools import cycle
from typing import Any, cast

import grpc
import grpc.aio
import uvloop

_RAISED = (("grpc.server.max_pending_requests", 100_000), ("grpc.server.max_pending_requests_hard_limit", 100_000))


class PassThrough(grpc.GenericRpcHandler):
    """Every method, as a server stream of bytes, to one replica after another."""

    def __init__(self, channels: list[grpc.aio.Channel]) -> None:
        self._calls = cycle(
            cast(Callable[..., Any], channel.unary_stream("/inference.v1.Inference/Generate")) for channel in channels
        )

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        make = cast(Callable[..., Any], grpc.unary_stream_rpc_method_handler)
        return make(self._relay)

    async def _relay(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        metadata = [item for item in context.invocation_metadata() if item[0].startswith("x-")]
        call = next(self._calls)(request, timeout=context.time_remaining(), metadata=metadata)
        try:
            async for message in call:
                yield message
        finally:
            call.cancel()


async def main(port: int, *replica_ports: int) -> None:
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{replica}") for replica in replica_ports]
    server = grpc.aio.server(options=_RAISED)
    server.add_generic_rpc_handlers((PassThrough(channels),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print(f"grpc.aio listening on 127.0.0.1:{bound}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
