from dataclasses import dataclass, field

import pynvml
import pytest

from serving.gpu import GpuFacts, GpuReading, Gpus, facts_of


@dataclass
class Numbers:
    gpu: int = 0
    used: int = 0
    total: int = 0
    eventData: int = 0


@dataclass
class FakeNvml:
    """So many GPUs, each with a UUID of its own."""

    count: int = 2
    is_there: bool = True
    broken: set[int] = field(default_factory=set[int])
    is_open: bool = False
    reasons: int = 0
    memory_errors: int = 3
    lost: set[int] = field(default_factory=set[int])
    deaf: set[int] = field(default_factory=set[int])
    """Have no events."""
    xids: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """Events to come, by GPU."""
    event_sets: dict[int, object] = field(default_factory=dict[int, object])
    """The GPU of each set that is not freed; a set is a number."""

    def nvmlEventSetCreate(self) -> object:
        number = len(self.event_sets)
        self.event_sets[number] = None
        return number

    def nvmlDeviceRegisterEvents(self, handle: object, event_types: int, event_set: object, /) -> None:
        if handle in self.deaf:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        assert event_types == pynvml.nvmlEventTypeXidCriticalError
        assert isinstance(event_set, int)
        self.event_sets[event_set] = handle

    def nvmlEventSetWait(self, event_set: object, timeout_ms: int, /) -> Numbers:
        assert isinstance(event_set, int)
        handle = self.event_sets[event_set]
        assert isinstance(handle, int)
        if timeout_ms or not self.xids.get(handle):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)
        return Numbers(eventData=self.xids[handle].pop(0))

    def nvmlEventSetFree(self, event_set: object, /) -> None:
        assert isinstance(event_set, int)
        del self.event_sets[event_set]

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
        if handle in self.lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
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
    assert nvml.event_sets == {}
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


def test_counts_xid_events_of_each_gpu_but_for_what_programs_do_wrong() -> None:
    nvml = FakeNvml()
    gpus = Gpus(nvml, {})
    assert [each.faults for each in gpus.read()] == [0, 0]
    fell_off_the_bus, uncorrectable, page_fault_of_a_program = 79, 94, 31
    nvml.xids = {0: [page_fault_of_a_program], 1: [uncorrectable, page_fault_of_a_program, fell_off_the_bus]}
    assert [each.faults for each in gpus.read()] == [0, 2]
    assert [each.faults for each in gpus.read()] == [0, 2], "it is not forgotten"


def test_a_card_without_events_has_the_rest() -> None:
    nvml = FakeNvml(deaf={0})
    gpus = Gpus(nvml, {})
    nvml.xids = {1: [79]}
    assert [each.faults for each in gpus.read()] == [0, 1]
    gpus.close()
    assert nvml.event_sets == {}


def test_a_gpu_that_is_lost_is_a_fault_and_not_one_less_to_look_at() -> None:
    nvml = FakeNvml()
    gpus = Gpus(nvml, {})
    nvml.lost.add(0)
    assert gpus.read() == [reading("1")], "it was never there for us"
    nvml.lost.clear()
    assert gpus.read() == [reading("0"), reading("1")]
    nvml.lost.add(0)
    lost = reading("0")._replace(utilization=0.0, faults=1)
    assert gpus.read() == gpus.read() == [lost, reading("1")]


def test_tells_all_gpus_of_a_replica_in_four_numbers() -> None:
    readings = [GpuReading("0", 0.5, 10, 80, is_throttled=True), GpuReading("1", 1.0, 50, 80, faults=3)]
    assert facts_of(readings) == GpuFacts(0.75, 0.375, 1, 3)
    assert facts_of([]) is None
