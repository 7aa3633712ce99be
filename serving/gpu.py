"""What NVML says of the GPUs that this process may use. Without one there is nothing to say."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import NamedTuple, Protocol

import pynvml


class GpuReading(NamedTuple):
    name: str
    """The index, as NVML counts, whatever the process calls it."""
    utilization: float
    """Between 0 and 1: the share of the last sample period in which a kernel ran."""
    memory_used_bytes: int
    memory_total_bytes: int
    is_throttled: bool = False
    """Heat or a power brake slows it. What the power limit does in every busy hour does not count."""
    faults: int = 0
    """Uncorrected memory errors and critical XID events since this process began to look; and that it is lost."""


class GpuFacts(NamedTuple):
    """All GPUs of a replica, as its load reports tell of them."""

    utilization: float
    memory_utilization: float
    throttled: int
    faults: int


def facts_of(readings: Sequence[GpuReading]) -> GpuFacts | None:
    """Return the mean, the share of all memory, how many are throttled, the sum of faults; None without a GPU."""
    if not readings:
        return None
    return GpuFacts(
        sum(reading.utilization for reading in readings) / len(readings),
        sum(reading.memory_used_bytes for reading in readings)
        / sum(reading.memory_total_bytes for reading in readings),
        sum(reading.is_throttled for reading in readings),
        sum(reading.faults for reading in readings),
    )


_BRAKES = (
    pynvml.nvmlClocksThrottleReasonHwSlowdown
    | pynvml.nvmlClocksThrottleReasonSwThermalSlowdown
    | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown
    | pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
)


class _Memory(Protocol):
    used: int
    total: int


class _Utilization(Protocol):
    gpu: int


class _Event(Protocol):
    eventData: int


class Nvml(Protocol):
    """The part of `pynvml` that is used here. Its functions raise `pynvml.NVMLError`."""

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...
    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object: ...
    def nvmlDeviceGetIndex(self, handle: object) -> int: ...
    def nvmlDeviceGetUtilizationRates(self, handle: object) -> _Utilization: ...
    def nvmlDeviceGetMemoryInfo(self, handle: object) -> _Memory: ...
    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: object) -> int: ...
    def nvmlDeviceGetTotalEccErrors(self, handle: object, error_type: int, counter_type: int, /) -> int: ...
    def nvmlEventSetCreate(self) -> object: ...
    def nvmlDeviceRegisterEvents(self, handle: object, event_types: int, event_set: object, /) -> None: ...
    def nvmlEventSetWait(self, event_set: object, timeout_ms: int, /) -> _Event: ...
    def nvmlEventSetFree(self, event_set: object, /) -> None: ...


_APPLICATIONS_XIDS = frozenset((13, 31, 43, 45, 68))
"""What a program has done wrong: the GPU is well. (As NVIDIA's device plugin for Kubernetes has them.)"""


class _Gpu:
    """One GPU, with what has happened to it since it was first looked at."""

    def __init__(self, nvml: Nvml, handle: object) -> None:
        self._nvml = nvml
        self._handle = handle
        self._errors_before: int | None = None
        self._xids = 0
        self._last: GpuReading | None = None
        self._events: object = None
        try:
            self._events = nvml.nvmlEventSetCreate()
            nvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, self._events)
        except pynvml.NVMLError:
            self.close()  # where they are not supported nobody waits for them

    def read(self) -> GpuReading | None:
        """Return None where it does not answer. One that did, and has fallen off the bus, is a fault."""
        nvml, handle = self._nvml, self._handle
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            utilization = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            name = str(nvml.nvmlDeviceGetIndex(handle))
            faults = self._memory_errors() + self._xid_events()
            self._last = GpuReading(name, utilization, memory.used, memory.total, self._is_throttled(), faults)
        except pynvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_GPU_IS_LOST or self._last is None:
                return None
            return self._last._replace(utilization=0.0, faults=self._last.faults + 1)
        return self._last

    def close(self) -> None:
        events, self._events = self._events, None
        if events is not None:
            self._nvml.nvmlEventSetFree(events)

    def _is_throttled(self) -> bool:
        try:
            return bool(self._nvml.nvmlDeviceGetCurrentClocksEventReasons(self._handle) & _BRAKES)
        except pynvml.NVMLError:
            return False  # older drivers and some cards do not say

    def _memory_errors(self) -> int:
        """What came since the first look: errors before it did not keep the engine from starting."""
        try:
            errors = self._nvml.nvmlDeviceGetTotalEccErrors(
                self._handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
            )
        except pynvml.NVMLError:
            return 0  # without ECC
        if self._errors_before is None:
            self._errors_before = errors
        return errors - self._errors_before

    def _xid_events(self) -> int:
        """Take those that have come, and return how many there were in all."""
        try:
            while self._events is not None:
                event = self._nvml.nvmlEventSetWait(self._events, 0)
                self._xids += event.eventData not in _APPLICATIONS_XIDS
        except pynvml.NVMLError:
            pass  # a timeout: there are no more
        return self._xids


class Gpus:
    """Reads at each call; blocks for about a millisecond a GPU, longer where the driver is in trouble."""

    def __init__(self, nvml: Nvml, environment: Mapping[str, str]) -> None:
        self._nvml = nvml
        self._gpus: Sequence[_Gpu] = []
        self._is_open = False
        self._reading = Lock()
        try:
            nvml.nvmlInit()
            self._is_open = True
            handles = self._find(environment.get("CUDA_VISIBLE_DEVICES"))
        except pynvml.NVMLError:
            return  # no driver, no GPU, or none that is named so
        self._gpus = [_Gpu(nvml, handle) for handle in handles]

    def read(self) -> list[GpuReading]:
        """Return what can be read now; a GPU that does not answer is left out. Any thread may call it."""
        with self._reading:
            return [reading for gpu in self._gpus if (reading := gpu.read()) is not None]

    def close(self) -> None:
        with self._reading:
            if self._is_open:
                for gpu in self._gpus:
                    gpu.close()
                self._is_open, self._gpus = False, []
                self._nvml.nvmlShutdown()

    def _find(self, visible: str | None) -> Sequence[object]:
        nvml = self._nvml
        if visible is None:
            return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        names = [name.strip() for name in visible.split(",") if name.strip()]
        return [
            nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdigit() else nvml.nvmlDeviceGetHandleByUUID(name)
            for name in names
        ]
