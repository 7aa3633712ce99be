import asyncio

from vllm.outputs import PoolingRequestOutput, RequestOutput

class RequestOutputCollector:
    ready: asyncio.Event
    def get_nowait(self) -> RequestOutput | PoolingRequestOutput | None: ...
