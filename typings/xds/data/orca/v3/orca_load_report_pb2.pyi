# xds-protos ships no types; these are the fields of xds.data.orca.v3.
from collections.abc import Mapping, MutableMapping

from google.protobuf.message import Message
from google.protobuf.descriptor import FileDescriptor

DESCRIPTOR: FileDescriptor

class OrcaLoadReport(Message):
    cpu_utilization: float
    mem_utilization: float
    rps: int
    rps_fractional: float
    eps: float
    application_utilization: float
    @property
    def request_cost(self) -> MutableMapping[str, float]: ...
    @property
    def utilization(self) -> MutableMapping[str, float]: ...
    @property
    def named_metrics(self) -> MutableMapping[str, float]: ...
    def __init__(
        self,
        *,
        cpu_utilization: float = ...,
        mem_utilization: float = ...,
        rps: int = ...,
        request_cost: Mapping[str, float] = ...,
        utilization: Mapping[str, float] = ...,
        rps_fractional: float = ...,
        eps: float = ...,
        named_metrics: Mapping[str, float] = ...,
        application_utilization: float = ...,
    ) -> None: ...
