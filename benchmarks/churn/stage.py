"""Does to a real fleet what the script says, and keeps account of it."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from benchmarks.churn.script import Act, Kind
from benchmarks.churn.verdict import Out
from benchmarks.cluster import Cluster, Member
from inference.v1 import admin_pb2 as pb
from inference.v1 import admin_pb2_grpc

LOOK_INTERVAL_S = 0.1
"""Of the gateway, at the file that names the replicas."""
_TIMEOUT_S = 10.0
_LEAVE_TIMEOUT_S = 20.0
"""For a replica that was asked to stop; its longest stream takes a second or two."""


class Stage:
    def __init__(
        self, cluster: Cluster, file: Path, admin: "admin_pb2_grpc.AdminAsyncStub", clock: Callable[[], float]
    ) -> None:
        """`file` names the replicas; `clock` is the wall's, as in logs."""
        self._cluster = cluster
        self._file = file
        self._admin = admin
        self._clock = clock
        self._absent: set[str] = set()
        self._current: dict[str, Out] = {}
        self._over: list[Out] = []
        self._begins: Mapping[Kind, Callable[[Member], Awaitable[None]]] = {
            Kind.FREEZE: self._freeze,
            Kind.KILL: self._kill,
            Kind.RESTART: self._stop,
            Kind.LEAVE: self._leave,
            Kind.DRAIN: self._drain,
        }
        self._ends: Mapping[Kind, Callable[[Member], Awaitable[None]]] = {
            Kind.FREEZE: self._thaw,
            Kind.KILL: self._start,
            Kind.RESTART: self._start,
            Kind.LEAVE: self._join,
            Kind.DRAIN: self._undrain,
        }

    @property
    def outs(self) -> list[Out]:
        return [*self._over, *self._current.values()]

    async def do(self, act: Act) -> str:
        """Return what was done, for people."""
        member = self._cluster.members[act.replica]
        if not act.is_end:
            await self._begins[act.kind](member)
            self._current[member.name] = Out(member.name, act.kind, self._clock())
            return f"{member.name} is {act.kind.value}"
        # From here on it may be found ready again.
        self._over.append(self._current.pop(member.name)._replace(end_at=self._clock()))
        await self._ends[act.kind](member)
        return f"{member.name} is no longer {act.kind.value}"

    def name_all(self) -> None:
        """Tell the gateway who is there."""
        named = [
            {"id": member.name, "address": member.address}
            for member in self._cluster.members
            if member.name not in self._absent
        ]
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(named), encoding="utf-8")
        os.replace(new, self._file)

    async def _freeze(self, member: Member) -> None:
        member.process.signal(signal.SIGSTOP)

    async def _thaw(self, member: Member) -> None:
        member.process.signal(signal.SIGCONT)

    async def _kill(self, member: Member) -> None:
        await asyncio.to_thread(member.process.kill)

    async def _stop(self, member: Member) -> None:
        member.process.signal(signal.SIGTERM)

    async def _start(self, member: Member) -> None:
        try:
            await asyncio.to_thread(member.process.wait, _LEAVE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            await asyncio.to_thread(member.process.kill)
        self._cluster.restart(member)

    async def _leave(self, member: Member) -> None:
        self._absent.add(member.name)
        self.name_all()

    async def _join(self, member: Member) -> None:
        self._absent.remove(member.name)
        self.name_all()

    async def _drain(self, member: Member) -> None:
        await self._admin.DrainReplica(pb.DrainReplicaRequest(replica_id=member.name), timeout=_TIMEOUT_S)

    async def _undrain(self, member: Member) -> None:
        await self._admin.UndrainReplica(pb.UndrainReplicaRequest(replica_id=member.name), timeout=_TIMEOUT_S)
