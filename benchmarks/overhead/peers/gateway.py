"""The gateway as it is shipped: facts, policy, leases, metrics and limits are on, nothing is tuned."""

import json
import os
from collections.abc import Mapping

import psutil

from benchmarks.overhead.peers.base import ROOT, Missing, Place, Running, listening_port
from benchmarks.processes import inference_gateway

_COMPILED = ROOT / "build" / "compiled"
_OPAQUE_SERVICE = "benchmark.Opaque"


def start(place: Place) -> Running:
    return _start(place, {})


def compiled_environment() -> Mapping[str, str]:
    """Return what makes a Python process use the compiled modules. Raises Missing."""
    built = _COMPILED / "installed"
    if not built.exists():
        raise Missing("not built here: `make compiled`")
    if any(source.stat().st_mtime > built.stat().st_mtime for source in (ROOT / "gateway").rglob("*.py")):
        raise Missing("older than its sources: `make compiled`")
    # The benchmarks themselves are in no wheel.
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join((str(_COMPILED), str(ROOT)))}


def start_compiled(place: Place) -> Running:
    return _start(place, compiled_environment())


def start_two_workers(place: Place) -> Running:
    """What a message costs where two workers share connections and counts."""
    return _start(place, {}, workers=2)


def start_opaque(place: Place) -> Running:
    """Requests that the gateway passes without knowing their service."""
    running = _start(place, {})
    return Running(running.ports, running.pids, path=f"/{_OPAQUE_SERVICE}/Generate")


def _start(place: Place, environment: Mapping[str, str], workers: int = 1) -> Running:
    settings = {
        "listen": "127.0.0.1:0",
        "replicas": [{"address": address} for address in place.replica_addresses],
        "opaque_services": [_OPAQUE_SERVICE],
        "workers": workers,
        "metrics_listen": "127.0.0.1:0",
        "admin_listen": str(place.folder / "admin.sock"),
    }
    file = place.folder / "gateway.yaml"
    file.write_text(json.dumps(settings, indent=2))  # JSON is YAML.
    process = place.processes.start("gateway", inference_gateway("serve", "--config", str(file)), environment)
    port = listening_port(process)
    pids = [worker.pid for worker in psutil.Process(process.pid).children()]
    names = ["worker"] if workers == 1 else [f"worker {number}" for number in range(workers)]
    return Running([port], {"control": process.pid, **dict(zip(names, pids, strict=True))})
