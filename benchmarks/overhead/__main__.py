"""What a worker spends on a message, beside its peers: one run, interleaved, on one machine.

    make bench-overhead

CPU time of the proxy alone, user and system, from its first request to its last answer. Three raw replicas and one raw
load generator (replica.py, load.py) are the same for all. Each peer gets each scenario once a round; what is printed
are medians over the rounds, and medians of the ratios within each round, with the range.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.overhead.load import Result, Scenario
from benchmarks.processes import Process, Processes, inference_gateway

REPLICAS = 3
SCENARIOS = {
    "burst, 64 streams": Scenario(streams=64, rounds=4, messages=250, message_bytes=120, interval_ms=0),
    "paced, 64 streams at 50/s": Scenario(streams=64, rounds=1, messages=250, message_bytes=120, interval_ms=20),
    "short RPCs, 32 at once": Scenario(streams=32, rounds=100, messages=1, message_bytes=120, interval_ms=0),
}
GATEWAY, FLOOR, GRPC_AIO = "gateway", "frame floor", "grpc.aio"


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    address: str
    pid: int
    """Whose CPU time counts."""


@dataclass(frozen=True, slots=True)
class Measured:
    cpu_us: float
    """For a message, or for an RPC where each has one message."""
    result: Result


def start_peers(processes: Processes, folder: Path) -> list[Peer]:
    def module(name: str, *arguments: str) -> Process:
        return processes.start(name, [sys.executable, "-m", f"benchmarks.overhead.{name}", *arguments])

    replicas = [
        processes.start(f"replica-{number}", [sys.executable, "-m", "benchmarks.overhead.replica", "0"])
        for number in range(REPLICAS)
    ]
    addresses = [replica.wait_for_line()[1] for replica in replicas]
    ports = [address.rpartition(":")[2] for address in addresses]
    floor = module("proxies.frame_floor", "0", *ports)
    grpc_aio = module("proxies.grpc_aio", "0", *ports)
    settings = {
        "listen": "127.0.0.1:0",
        "replicas": [{"address": address} for address in addresses],
        "policy": "round_robin",
        "metrics_listen": "none",
        "admin_listen": str(folder / "admin.sock"),
    }
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(settings))
    gateway = processes.start("gateway", inference_gateway("serve", "--config", str(file)))
    gateway_address = gateway.wait_for_line()[1]
    return [
        Peer(GATEWAY, gateway_address, _worker_pid(gateway.pid)),
        Peer(FLOOR, floor.wait_for_line()[1], floor.pid),
        Peer(GRPC_AIO, grpc_aio.wait_for_line()[1], grpc_aio.pid),
    ]


def _worker_pid(gateway_pid: int) -> int:
    (worker,) = psutil.Process(gateway_pid).children()
    return worker.pid


def measure(peer: Peer, scenario: Scenario) -> Measured:
    process = psutil.Process(peer.pid)
    before = process.cpu_times()
    load = [sys.executable, "-m", "benchmarks.overhead.load", peer.address.rpartition(":")[2]]
    finished = subprocess.run(
        load, input=json.dumps(asdict(scenario)), stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    after = process.cpu_times()
    result = Result(**json.loads(finished.stdout))
    if result.failures or result.messages != scenario.streams * scenario.rounds * scenario.messages:
        raise SystemExit(f"{peer.name}: {result}")
    cpu_s = after.user - before.user + after.system - before.system
    return Measured(cpu_s / result.messages * 1e6, result)


def run(peers: Sequence[Peer], rounds: int, say: Callable[[str], None]) -> dict[str, dict[str, list[Measured]]]:
    """Return what was measured, by scenario and peer."""
    measured: dict[str, dict[str, list[Measured]]] = {name: {peer.name: [] for peer in peers} for name in SCENARIOS}
    for peer in peers:
        measure(peer, Scenario(streams=8, rounds=2, messages=10, message_bytes=120, interval_ms=0))
    for number in range(rounds):
        for name, scenario in SCENARIOS.items():
            for peer in peers:
                one = measure(peer, scenario)
                measured[name][peer.name].append(one)
                say(f"round {number + 1}, {name}, {peer.name}: {one.cpu_us:.1f} us")
    return measured


def tabulate(measured: dict[str, dict[str, list[Measured]]]) -> Table:
    table = Table("scenario", "peer", "CPU us/message", "range", "messages/s", "gateway / peer", "range")
    for name, peers in measured.items():
        own = [one.cpu_us for one in peers[GATEWAY]]
        for peer, runs in peers.items():
            cpu_us = [one.cpu_us for one in runs]
            ratios = [a / b for a, b in zip(own, cpu_us, strict=True)]
            rates = median(one.result.messages / one.result.wall_s for one in runs)
            table.add_row(
                name,
                peer,
                f"{median(cpu_us):.1f}",
                _range(cpu_us),
                f"{rates:,.0f}",
                f"{median(ratios):.2f}",
                _range(ratios, 2),
            )
    return table


def _range(values: Sequence[float], digits: int = 1) -> str:
    return f"{min(values):.{digits}f} - {max(values):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write every single measurement there")
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as name, Processes(Path(name)) as processes:
        peers = start_peers(processes, Path(name))
        measured = run(peers, arguments.rounds, lambda line: console.print(line, style="dim"))
    console.print(tabulate(measured))
    if arguments.json:
        rows = {
            name: {peer: [asdict(one) for one in runs] for peer, runs in of.items()} for name, of in measured.items()
        }
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
