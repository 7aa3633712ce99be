"""One connection to one replica: its health, its models and its load reports, told to the fleet's owner."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from xds.service.orca.v3.orca_pb2 import OrcaLoadReportRequest

from gateway import logs
from gateway.config import ProbeSettings
from gateway.control.fleet_owner import FleetOwner, ModelOffer
from gateway.control.replica_calls import ReplicaCalls
from gateway.rpc.call import GATEWAY_ID
from gateway.rpc.orca import FLOOR, parse_report
from gateway.types import LoadReport
from inference.v1.inference_pb2 import ListModelsRequest, ListModelsResponse

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
"""Before a call is made again that failed although the connection is up."""

_UNREACHABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
"""With these, no process has answered; with any other status, one has."""


class ConnectionLost(Exception):
    """The message says why, for people."""


class HealthConnection:
    """Tells the owner all but the end: whoever runs it does that."""

    def __init__(
        self,
        owner: FleetOwner,
        replica_id: str,
        calls: ReplicaCalls,
        gateway_id: str,
        settings: ProbeSettings,
        clock: Callable[[], float],
    ) -> None:
        self._owner = owner
        self._replica_id = replica_id
        self._calls = calls
        self._metadata = ((GATEWAY_ID.decode(), gateway_id),)
        self._settings = settings
        self._clock = clock
        self._boot_id: int | None = None
        self._has_report_or_none_will_come = asyncio.Event()
        self.was_up = False

    async def run(self, heartbeat_s: float) -> None:
        """Return never, but raise a group with ConnectionLost in it when it is."""
        async with asyncio.TaskGroup() as tasks, aclosing(self._statuses(heartbeat_s)) as statuses:
            preparing: asyncio.Task[None] | None = None
            async for status in statuses:
                if not self.was_up:
                    self.was_up = True
                    self._owner.connected(self._replica_id)
                    tasks.create_task(self._follow_reports())
                if preparing is not None:
                    preparing.cancel()
                if status == "SERVING":
                    preparing = tasks.create_task(self._prepare())
                else:
                    self._owner.not_serving(self._replica_id, f"health check says {status}")

    async def _statuses(self, heartbeat_s: float) -> AsyncGenerator[str, None]:
        is_implemented = True
        call = self._calls.watch(HealthCheckRequest(service=self._settings.health_service))
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                serialized = await call.read()
            while isinstance(serialized, bytes):
                yield _status_name(serialized)
                serialized = await call.read()
        except TimeoutError:
            raise ConnectionLost(f"no health status within {self._settings.timeout_s:g} s") from None
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise ConnectionLost(_reason(error)) from None
            is_implemented = False
        finally:
            call.cancel()
        if is_implemented:
            raise ConnectionLost("the replica ended its health stream")
        # Counts as healthy, as for gRPC's own clients (gRFC A17).
        yield "SERVING"
        await self._beat(heartbeat_s)

    async def _beat(self, interval_s: float) -> None:
        """Return never, but raise ConnectionLost when the replica does not answer any more, with whatever status."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self._calls.check(HealthCheckRequest(), timeout=self._settings.timeout_s)
            except grpc.aio.AioRpcError as error:
                if error.code() in _UNREACHABLE:
                    raise ConnectionLost(_reason(error)) from None

    async def _prepare(self) -> None:
        """It serves: learn who it is and what, before it gets requests."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await self._has_report_or_none_will_come.wait()
        except TimeoutError:
            _log.warning(logs.line("no_load_report", replica=self._replica_id))
        if self._boot_id is None:
            self._owner.identified(self._replica_id, 0)
        self._owner.serving(self._replica_id, await self._models())

    async def _models(self) -> tuple[ModelOffer, ...]:
        """Ask until there is an answer. A replica that refuses, as one of an opaque service does, offers none."""
        while True:
            try:
                serialized = await self._calls.list_models(ListModelsRequest(), timeout=self._settings.timeout_s)
                return _offers(ListModelsResponse.FromString(serialized))
            except (grpc.aio.AioRpcError, DecodeError) as error:
                if isinstance(error, DecodeError) or error.code() not in _UNREACHABLE:
                    _log.info(logs.line("no_models", replica=self._replica_id, reason=_reason(error)))
                    return ()
            await asyncio.sleep(_RETRY_S)

    async def _follow_reports(self) -> None:
        interval = Duration()
        interval.FromNanoseconds(round(self._settings.load_report_interval_s * 1e9))
        while True:
            request = OrcaLoadReportRequest(report_interval=interval)
            call = self._calls.load_reports(request, metadata=(*self._metadata, (FLOOR, str(self._floor_ms()))))
            try:
                while isinstance(serialized := await call.read(), bytes):
                    self._reported(parse_report(serialized, self._clock()))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    return
            except ValueError as error:
                _log.warning(logs.line("load_report_malformed", replica=self._replica_id, reason=error))
            finally:
                call.cancel()
                self._has_report_or_none_will_come.set()
            await asyncio.sleep(_RETRY_S)

    def _floor_ms(self) -> int:
        """The shortest time between two reports: longer in a large fleet, since each costs grpcio some 0.1 ms."""
        settings = self._settings
        least_s = len(self._owner.replicas) / settings.load_reports_per_s
        return round(1000 * max(settings.load_report_floor_s, least_s))

    def _reported(self, load: LoadReport) -> None:
        if self._boot_id not in (None, load.boot_id):
            raise ConnectionLost("another process answers at the address")
        if self._boot_id is None:
            self._boot_id = load.boot_id
            self._owner.identified(self._replica_id, load.boot_id)
            self._has_report_or_none_will_come.set()
        self._owner.reported(self._replica_id, load)


def _status_name(serialized: bytes) -> str:
    try:
        status = HealthCheckResponse.FromString(serialized).status
    except DecodeError as error:
        raise ConnectionLost(f"malformed health status: {error}") from None
    names = HealthCheckResponse.ServingStatus
    return names.Name(status) if status in names.values() else str(status)


def _offers(response: ListModelsResponse) -> tuple[ModelOffer, ...]:
    return tuple(
        ModelOffer(m.name, m.context_tokens, tuple(m.lora_names), m.kv_cache_tokens, max(1, m.ready_replicas))
        for m in response.models
    )


def _reason(error: grpc.aio.AioRpcError | DecodeError) -> str:
    return f"{error.code().name}: {error.details()}" if isinstance(error, grpc.aio.AioRpcError) else str(error)
