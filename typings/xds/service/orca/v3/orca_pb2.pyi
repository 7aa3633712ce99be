# xds-protos ships no types; these are the fields of xds.service.orca.v3.
from collections.abc import Iterable, MutableSequence

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

DESCRIPTOR: FileDescriptor

class OrcaLoadReportRequest(Message):
    @property
    def report_interval(self) -> Duration: ...
    @property
    def request_cost_names(self) -> MutableSequence[str]: ...
    def __init__(self, *, report_interval: Duration | None = ..., request_cost_names: Iterable[str] = ...) -> None: ...
