"""What NVML says of the GPUs that this process may use. Without one there is nothing to say."""

from collections.abc import Mapping, Sequence
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
    """Uncorrected memory errors since this process began to look."""


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


class Gpus:
    """Reads at each call; blocks for about a millisecond a GPU, longer where the driver is in trouble."""

    def __init__(self, nvml: Nvml, environment: Mapping[str, str]) -> None:
        self._nvml = nvml
        self._handles: Sequence[object] = []
        self._errors_before: dict[str, int] = {}
        self._is_open = False
        try:
            nvml.nvmlInit()
            self._is_open = True
            self._handles = self._find(environment.get("CUDA_VISIBLE_DEVICES"))
        except pynvml.NVMLError:
            pass  # no driver, no GPU, or none that is named so

    def read(self) -> list[GpuReading]:
        """Return what can be read now; a GPU that does not answer is left out."""
        return [reading for handle in self._handles if (reading := self._read(handle)) is not None]

    def close(self) -> None:
        if self._is_open:
            self._is_open, self._handles = False, []
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

    def _read(self, handle: object) -> GpuReading | None:
        nvml = self._nvml
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            utilization = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            name = str(nvml.nvmlDeviceGetIndex(handle))
            return GpuReading(
                name, utilization, memory.used, memory.total, self._is_throttled(handle), self._faults(name, handle)
            )
        except pynvml.NVMLError:
            return None

    def _is_throttled(self, handle: object) -> bool:
        try:
            return bool(self._nvml.nvmlDeviceGetCurrentClocksEventReasons(handle) & _BRAKES)
        except pynvml.NVMLError:
            return False  # older drivers and some cards do not say

    def _faults(self, name: str, handle: object) -> int:
        """What came since the first look: errors before it did not keep the engine from starting."""
        try:
            errors = self._nvml.nvmlDeviceGetTotalEccErrors(
                handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
            )
        except pynvml.NVMLError:
            return 0  # without ECC
        return errors - self._errors_before.setdefault(name, errors)
