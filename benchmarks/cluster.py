"""Replicas and a gateway in front of them, as real processes on free ports of loopback."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Process, Processes, inference_gateway

_METRICS = re.compile(r"event=metrics_listening address=(\S+)")


@dataclass(slots=True)
class Member:
    """One replica, over all its lives."""

    name: str
    command: Sequence[str]
    """Without the address to listen on."""
    process: Process
    address: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a cluster consists of."""

    replicas: int
    model: str
    """Of all replicas but those that `models` names."""
    engine_arguments: Sequence[str] = ()
    """Of `inference-gateway replica`: which engine, and its settings."""
    replica_command: Sequence[str] = tuple(inference_gateway("replica"))
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """More variables for replicas."""
    models: Mapping[int, str] = field(default_factory=dict[int, str])
    """Of replicas that have another one, by their number from 1 on."""
    policy: str = "least_connection"
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    """More settings of the gateway, by the names in gateway/config.py."""
    ready_timeout_s: float = 120.0


class Cluster:
    """Started by `start`, ended with its Processes."""

    def __init__(self, processes: Processes, plan: Plan, folder: Path) -> None:
        """`folder` is for the gateway's settings and its administration socket."""
        self._processes = processes
        self._plan = plan
        self._folder = folder
        self.members: list[Member] = []
        self.address = ""
        """Of the gateway, for agents."""
        self.metrics_address = ""
        self.admin_address = f"unix:{folder / 'admin.sock'}"

    def start(self) -> None:
        """Start everything and wait until all replicas and the gateway listen. Raises NotReady."""
        plan = self._plan
        for number in range(1, plan.replicas + 1):
            model = plan.models.get(number, plan.model)
            command = [*plan.replica_command, "--model", model, "--metrics-listen", "none", *plan.engine_arguments]
            name = f"replica-{number}"
            process = self._processes.start(name, [*command, "--listen", "127.0.0.1:0"], plan.environment)
            self.members.append(Member(name, command, process))
        for member in self.members:
            member.address = member.process.wait_for_line(timeout_s=plan.ready_timeout_s)[1]
        self._start_gateway()

    def restart(self, member: Member) -> None:
        """Start a dead replica on the address that it had. Returns before it listens."""
        command = [*member.command, "--listen", member.address]
        member.process = self._processes.start(member.name, command, self._plan.environment)

    def _start_gateway(self) -> None:
        settings = {
            "listen": "127.0.0.1:0",
            "replicas": [{"id": member.name, "address": member.address} for member in self.members],
            "policy": self._plan.policy,
            "metrics_listen": "127.0.0.1:0",
            "admin_listen": self.admin_address.removeprefix("unix:"),
            **self._plan.settings,
        }
        file = self._folder / "gateway.yaml"
        file.write_text(json.dumps(settings, indent=2))  # JSON is YAML.
        self.gateway = self._processes.start("gateway", inference_gateway("serve", "--config", str(file)))
        self.address = self.gateway.wait_for_line()[1]
        self.metrics_address = self.gateway.wait_for_line(_METRICS)[1]
