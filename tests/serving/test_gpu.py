from dataclasses import dataclass, field

import pynvml
import pytest

from serving.gpu import GpuFacts, GpuReading, Gpus, facts_of


@dataclass
class Numbers:
    gpu: int = 0
    used: int = 0
    total: int = 0


@dataclass
class FakeNvml:
    """So many GPUs, each with a UUID of its own."""

    count: int = 2
    is_there: bool = True
    broken: set[int] = field(default_factory=set[int])
    is_open: bool = False
    reasons: int = 0
    memory_errors: int = 3

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: object) -> int:
        return self.reasons

    def nvmlDeviceGetTotalEccErrors(self, handle: object, error_type: int, counter_type: int, /) -> int:
        if handle == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return self.memory_errors

    def nvmlInit(self) -> None:
        if not self.is_there:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
        self.is_open = True

    def nvmlShutdown(self) -> None:
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        if index >= self.count:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:
        return self.nvmlDeviceGetHandleByIndex(int(uuid.removeprefix("GPU-")))

    def nvmlDeviceGetIndex(self, handle: object) -> int:
        assert isinstance(handle, int)
        return handle

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> Numbers:
        if handle in self.broken:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return Numbers(gpu=40)

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Numbers:
        return Numbers(used=7_000, total=80_000)


def reading(name: str) -> GpuReading:
    return GpuReading(name, 0.4, 7_000, 80_000)


@pytest.mark.parametrize(
    ("visible", "names"),
    [(None, ["0", "1"]), ("1", ["1"]), (" 1 , 0", ["1", "0"]), ("GPU-1", ["1"]), ("", []), ("7", []), ("GPU-7", [])],
)
def test_reads_the_gpus_that_the_process_may_use(visible: str | None, names: list[str]) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert Gpus(FakeNvml(), environment).read() == [reading(name) for name in names]


def test_has_nothing_to_say_without_a_driver() -> None:
    gpus = Gpus(FakeNvml(is_there=False), {})
    assert gpus.read() == []
    gpus.close()


def test_leaves_out_a_gpu_that_does_not_answer() -> None:
    nvml = FakeNvml()
    gpus = Gpus(nvml, {})
    nvml.broken.add(0)
    assert gpus.read() == [reading("1")]


@pytest.mark.parametrize("environment", [{}, {"CUDA_VISIBLE_DEVICES": ""}])
def test_gives_the_driver_back(environment: dict[str, str]) -> None:
    nvml = FakeNvml()
    gpus = Gpus(nvml, environment)
    assert nvml.is_open
    gpus.close()
    gpus.close()
    assert not nvml.is_open
    assert gpus.read() == []


def test_the_real_library_says_nothing_where_there_is_no_gpu() -> None:
    gpus = Gpus(pynvml, {"CUDA_VISIBLE_DEVICES": ""})
    assert gpus.read() == []
    gpus.close()


@pytest.mark.parametrize(
    ("reasons", "is_throttled"),
    [
        (0, False),
        (pynvml.nvmlClocksThrottleReasonGpuIdle | pynvml.nvmlClocksThrottleReasonSwPowerCap, False),
        (pynvml.nvmlClocksThrottleReasonHwThermalSlowdown | pynvml.nvmlClocksThrottleReasonSwPowerCap, True),
        (pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown, True),
    ],
)
def test_heat_and_brakes_throttle_and_the_power_limit_of_a_busy_card_does_not(reasons: int, is_throttled: bool) -> None:
    assert [each.is_throttled for each in Gpus(FakeNvml(reasons=reasons), {}).read()] == [is_throttled] * 2


def test_counts_memory_errors_since_it_began_where_the_card_counts_them() -> None:
    nvml = FakeNvml()
    gpus = Gpus(nvml, {})
    assert [each.faults for each in gpus.read()] == [0, 0]
    nvml.memory_errors += 2
    assert [each.faults for each in gpus.read()] == [2, 0]


def test_tells_all_gpus_of_a_replica_in_four_numbers() -> None:
    readings = [GpuReading("0", 0.5, 10, 80, is_throttled=True), GpuReading("1", 1.0, 50, 80, faults=3)]
    assert facts_of(readings) == GpuFacts(0.75, 0.375, 1, 3)
    assert facts_of([]) is None
