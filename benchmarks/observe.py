"""What a running gateway says of itself, and what the system says of its processes."""

from collections.abc import Mapping
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples(address: str) -> Samples:
    """Return every sample of /metrics at HOST:PORT, by name and labels."""
    with urlopen(f"http://{address}/metrics", timeout=10) as response:
        text = response.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """Return the sum over all samples of a name that have these labels."""
    return sum(value for (of, has), value in found.items() if of == name and set(labels.items()) <= has)


def worker(gateway_pid: int) -> psutil.Process:
    """Return the first process that relays. Raises psutil.NoSuchProcess where there is none."""
    for process in psutil.Process(gateway_pid).children(recursive=True):
        if "gateway.worker" in process.cmdline():
            return process
    raise psutil.NoSuchProcess(gateway_pid)


def cpu_s(process: psutil.Process) -> float:
    """Return what it has taken so far, user and system."""
    times = process.cpu_times()
    return times.user + times.system
