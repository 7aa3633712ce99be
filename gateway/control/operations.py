"""What operators change: each change may be repeated, and each leaves a line in the log."""

import json
import logging
from collections.abc import Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
import msgspec

from gateway import logs
from gateway.config import Settings
from gateway.control.fleet_owner import FleetOwner, Replica
from gateway.control.reconfiguration import Reconfiguration
from gateway.errors import SettingsError
from inference.v1 import admin_pb2 as pb

_log = logging.getLogger(__name__)

OPERATOR = "x-operator"
"""Who asks, as they say themselves. That only this user and root can is seen to by the socket's mode."""
_WEIGHT_MAX = 1_000.0

Context = grpc.aio.ServicerContext[Any, Any]


class Operations:
    def __init__(self, owner: FleetOwner, reconfiguration: Reconfiguration) -> None:
        self._owner = owner
        self._reconfiguration = reconfiguration

    async def drain_replica(self, request: pb.DrainReplicaRequest, context: Context) -> pb.DrainReplicaResponse:
        changed = await self._on_replica("drain", request.replica_id, context, self._owner.drain, _state)
        return pb.DrainReplicaResponse(changed=changed)

    async def undrain_replica(self, request: pb.UndrainReplicaRequest, context: Context) -> pb.UndrainReplicaResponse:
        changed = await self._on_replica("undrain", request.replica_id, context, self._owner.undrain, _state)
        return pb.UndrainReplicaResponse(changed=changed)

    async def set_weight(self, request: pb.SetWeightRequest, context: Context) -> pb.SetWeightResponse:
        weight = request.weight
        if not 0 <= weight <= _WEIGHT_MAX:
            await _refuse(context, f"weight: {weight:g} is not between 0 and {_WEIGHT_MAX:g}")

        def weigh(replica_id: str) -> bool:
            return self._owner.weigh(replica_id, weight or None)

        changed = await self._on_replica("weight", request.replica_id, context, weigh, lambda each: each.record.weight)
        return pb.SetWeightResponse(changed=changed)

    async def set_policy(self, request: pb.SetPolicyRequest, context: Context) -> pb.SetPolicyResponse:
        before = self._reconfiguration.settings
        options = await _options(request, context)
        try:
            changes = _with_policy(before, request, options)
            changed = await self._reconfiguration.change("operator", **changes)
        except KeyError:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no route is called {request.route!r}")
        except SettingsError as error:
            await _refuse(context, str(error))
        _audit(
            context,
            "policy",
            bool(changed.names),
            route=request.route or None,
            before=_policy_of(before, request.route),
            after=_policy_of(self._reconfiguration.settings, request.route),
        )
        return pb.SetPolicyResponse(changed=bool(changed.names))

    async def reload(self, request: pb.ReloadRequest, context: Context) -> pb.ReloadResponse:
        try:
            changed = await self._reconfiguration.reload("operator")
        except SettingsError as error:
            _audit(context, "reload", False, refused=error)
            await _refuse(context, str(error))
        _audit(context, "reload", bool(changed.names), settings=",".join(changed.names) or None)
        return pb.ReloadResponse(settings=changed.names)

    async def _on_replica(
        self,
        action: str,
        replica_id: str,
        context: Context,
        act: Callable[[str], bool],
        shown: Callable[[Replica], object],
    ) -> bool:
        before = self._replica(replica_id)
        if before is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no replica is called {replica_id!r}")
        was = shown(before)
        is_changed = act(replica_id)
        _audit(context, action, is_changed, replica=replica_id, before=was, after=shown(before))
        return is_changed

    def _replica(self, replica_id: str) -> Replica | None:
        return next((each for each in self._owner.replicas if each.record.id == replica_id), None)


def _with_policy(settings: Settings, request: pb.SetPolicyRequest, options: dict[str, Any]) -> dict[str, object]:
    """Return the settings to change. Raises KeyError where there is no such route."""
    chosen: dict[str, object] = {"policy": request.policy, "policy_options": options}
    if not request.route:
        return chosen
    if all(route.name != request.route for route in settings.routes):
        raise KeyError(request.route)
    return {
        "routes": tuple(
            msgspec.structs.replace(route, **chosen) if route.name == request.route else route
            for route in settings.routes
        )
    }


def _policy_of(settings: Settings, route_name: str) -> str:
    own = next((route.policy for route in settings.routes if route.name == route_name), "")
    return own or settings.policy


async def _options(request: pb.SetPolicyRequest, context: Context) -> dict[str, Any]:
    try:
        options: object = json.loads(request.options_json or "{}")
        return msgspec.convert(options, dict[str, Any])
    except (ValueError, msgspec.ValidationError):
        await _refuse(context, "options_json: not a JSON object")


async def _refuse(context: Context, why: str) -> NoReturn:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)


def _state(replica: Replica) -> str:
    return replica.record.state.name.lower()


def _audit(context: Context, action: str, is_changed: bool, **fields: object) -> None:
    metadata = dict(context.invocation_metadata() or ())
    said_by = metadata.get(OPERATOR)
    changed = "yes" if is_changed else "no"
    _log.info(logs.line("operator", action=action, changed=changed, **fields, said_by=said_by, peer=context.peer()))
