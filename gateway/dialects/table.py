"""Which methods an agent may call: an allow-list by exact path, and by service where one is named opaque."""

from collections.abc import Iterable

from gateway.dialects import inference_v1, opaque
from gateway.dialects.base import Method
from gateway.dialects.prompts import Prompts, Unread
from gateway.errors import Failure, Reason
from gateway.rpc.call import Call
from gateway.types import Facts

CONTROL_SERVICES = (
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "xds.service.orca.v3.OpenRcaService",
)
CONTROL_METHODS = (f"/{inference_v1.SERVICE}/ListModels",)


class MethodTable:
    """All that can be called through one gateway."""

    def __init__(self, opaque_services: Iterable[str], prompts: Prompts | None = None) -> None:
        self._methods = inference_v1.methods(prompts or Unread())
        for path in CONTROL_METHODS:
            self._methods[path] = _control(path[1:])
        self._services = {service: opaque.method(service) for service in opaque_services}
        self._services.update({service: _control(service) for service in CONTROL_SERVICES})

    def find(self, path: str) -> Method:
        """Return the method at a canonical path. Raises Failure: METHOD_NOT_FOUND."""
        method = self._methods.get(path) or self._services.get(path[1 : path.rindex("/")])
        if method is None:
            raise Failure(Reason.METHOD_NOT_FOUND, f"{path[1:]} is not served here")
        return method


def _control(label: str) -> Method:
    return Method(label=label, facts=_no_facts, is_control=True)


def _no_facts(call: Call, message: bytes) -> Facts:
    return Facts(method=call.path, deadline_at=call.deadline_at, spiffe_id=call.spiffe_id)
