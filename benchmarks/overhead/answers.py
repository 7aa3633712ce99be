"""What a raw replica says beside tokens: response headers, trailers with a load report, and what a gateway's control
process asks of every replica."""

import base64
import random
from collections.abc import Callable, Mapping
from struct import Struct
from typing import NamedTuple

from xds.data.orca.v3 import orca_load_report_pb2

from benchmarks.overhead.orders import MODEL
from benchmarks.overhead.wire import HeaderBlocks
from gateway.rpc import orca
from gateway.rpc.framing import prefixed
from inference.v1 import inference_pb2 as pb

RESPONSE = ((b":status", b"200"), (b"content-type", b"application/grpc"))
OK = ((b"grpc-status", b"0"),)
UNIMPLEMENTED = (*RESPONSE, (b"grpc-status", b"12"))
HEALTH_SERVING = b"\x00\x00\x00\x00\x02\x08\x01"
"""grpc.health.v1.HealthCheckResponse with status SERVING, and its prefix."""

_DOUBLE = Struct("<d")
_BOOT_IDS = 2**53


class Report:
    """A replica's load report. Serialized once: the number of requests, which is eight bytes, is written into it."""

    def __init__(self, rng: random.Random) -> None:
        report = orca_load_report_pb2.OrcaLoadReport(
            application_utilization=0.25,
            rps_fractional=20.0,
            named_metrics={
                orca.QUEUE_DEPTH: 1.0,
                orca.RUNNING_REQUESTS: 20.0,
                orca.KV_CACHE_UTILIZATION: 0.25,
                orca.UNCACHED_WAITING_TOKENS: 500.0,
                orca.BOOT_ID: float(rng.randrange(1, _BOOT_IDS)),
                orca.RECEIVED_REQUESTS: 1.0,
            },
            request_cost={orca.PROMPT_TOKENS: 16.0, orca.CACHED_TOKENS: 4.0, orca.COMPLETION_TOKENS: 250.0},
        )
        self._serialized = bytearray(report.SerializeToString())
        name = orca.RECEIVED_REQUESTS.encode()
        # Behind the entry's name stands the tag of its double.
        self._count_at = self._serialized.index(name) + len(name) + 1
        size = len(base64.b64encode(self._serialized).rstrip(b"="))
        # A literal that enters no table (RFC 7541, 6.2.2), as gRPC sends what changes from call to call.
        self._before = b"\x00" + _length(len(orca.TRAILER)) + orca.TRAILER + _length(size)
        self.received_requests = 0

    def message(self) -> bytes:
        _DOUBLE.pack_into(self._serialized, self._count_at, self.received_requests)
        return prefixed(bytes(self._serialized))

    def trailers(self, blocks: HeaderBlocks) -> bytes:
        """Return the header block that ends a stream."""
        _DOUBLE.pack_into(self._serialized, self._count_at, self.received_requests)
        return blocks.encode(OK) + self._before + base64.b64encode(self._serialized).rstrip(b"=")


class Answer(NamedTuple):
    """To a call of a gateway's control process."""

    message: Callable[[], bytes]
    stays_open: bool = False
    is_repeated: bool = False


def control_answers(report: Report) -> Mapping[bytes, Answer]:
    """Return what is answered, by path."""
    models = pb.ListModelsResponse(models=[pb.Model(name=MODEL, context_tokens=131_072, ready_replicas=1)])
    listing = prefixed(models.SerializeToString())
    return {
        b"/grpc.health.v1.Health/Watch": Answer(lambda: HEALTH_SERVING, stays_open=True),
        b"/grpc.health.v1.Health/Check": Answer(lambda: HEALTH_SERVING),
        b"/inference.v1.Inference/ListModels": Answer(lambda: listing),
        b"/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics": Answer(
            report.message, stays_open=True, is_repeated=True
        ),
    }


def _length(size: int) -> bytes:
    """Return a string's length without Huffman coding (RFC 7541, 5.1 and 5.2), up to 254."""
    return bytes((size,)) if size < 127 else bytes((127, *_continued(size - 127)))


def _continued(value: int) -> bytes:
    low = bytearray()
    while value >= 128:
        low.append(value & 127 | 128)
        value >>= 7
    low.append(value)
    return bytes(low)
