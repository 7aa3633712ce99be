"""EndpointSlices of a Kubernetes service: listed, then watched; listed anew at each end of a watch."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from kubernetes.aio import client, config
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from gateway.config import KubernetesSource
from gateway.control.discovery.endpoints import Slice, SliceList, replicas_of
from gateway.control.discovery.sources import Found, SourceFailed

_config: Any = config
_in_cluster: Any = InClusterConfigLoader
"""Untyped, both."""
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, the authority of the API server and its namespace."""
_TIMEOUT_S = 10.0
"""For a connection and for a list; a watch is silent for as long as nothing changes."""
_GONE = 410
"""The version to watch from is too old: list again, which is no failure."""


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status


class _Event(msgspec.Struct):
    """One line of a watch, or a Status, which has no envelope."""

    type: str = ""
    object: msgspec.Raw = msgspec.Raw(b"{}")


class _Status(msgspec.Struct):
    code: int = 0
    message: str = "the watch failed"


async def watch(settings: KubernetesSource, service_account: Path = _SERVICE_ACCOUNT) -> AsyncGenerator[Found, None]:
    """Yield the replicas that the slices name, at each list and each event. Raises SourceFailed.

    Each round reads the credentials anew, because tokens expire, and reconciles: what was deleted while nobody watched
    is missing in the list."""
    while True:
        try:
            async with _running_api(settings, service_account) as api, aclosing(api.slices()) as rounds:
                async for slices in rounds:
                    yield replicas_of(slices.values(), settings)
        except _Refused as error:
            if error.status != _GONE:
                raise SourceFailed(f"kubernetes: {error}") from None
        except (OSError, TimeoutError, aiohttp.ClientError, msgspec.MsgspecError, ConfigException) as error:
            raise SourceFailed(f"kubernetes: {error or type(error).__name__}") from None


class _Api:
    """One client with one set of credentials."""

    def __init__(self, made: client.ApiClient, namespace: str, settings: KubernetesSource) -> None:
        self._api = client.DiscoveryV1Api(made)
        self._namespace = namespace
        self._selector = f"kubernetes.io/service-name={settings.service}"
        self._watch_s = round(settings.watch_s)

    async def slices(self) -> AsyncGenerator[dict[str, Slice], None]:
        """Yield all slices by name, after the list and after each event of one watch. Raises _Refused."""
        listed = await self._list()
        slices = {item.metadata.name: item for item in listed.items or ()}
        yield slices
        async with aclosing(self._events(listed.metadata.resource_version)) as events:
            async for event in events:
                _apply(event, slices)
                yield slices

    async def _list(self) -> SliceList:
        response = await self._api.list_namespaced_endpoint_slice_without_preload_content(
            self._namespace, label_selector=self._selector, _request_timeout=_TIMEOUT_S
        )
        async with response:
            body = await response.read()
        _check(response, body)
        return msgspec.json.decode(body, type=SliceList)

    async def _events(self, version: str) -> AsyncGenerator[_Event, None]:
        """Yield what the server says of changes after `version`, until it or the time ends the watch."""
        response = await self._api.list_namespaced_endpoint_slice_without_preload_content(
            self._namespace,
            label_selector=self._selector,
            watch=True,
            allow_watch_bookmarks=True,
            resource_version=version,
            timeout_seconds=self._watch_s,
            # The server ends a watch itself; one that has gone silent is given up a little later.
            _request_timeout=self._watch_s + _TIMEOUT_S,
        )
        async with response:
            if response.status != 200:
                _check(response, await response.read())
            rest = b""
            # Not by line: aiohttp's lines are bounded, and a slice of 1,000 endpoints is longer.
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    yield msgspec.json.decode(line, type=_Event)


def _apply(event: _Event, slices: dict[str, Slice]) -> None:
    """Take the event over. Raises _Refused where the server says that it cannot go on."""
    if event.type == "BOOKMARK":
        return
    if event.type not in ("ADDED", "MODIFIED", "DELETED"):
        status = msgspec.json.decode(event.object, type=_Status)
        raise _Refused(status.code, status.message)
    item = msgspec.json.decode(event.object, type=Slice)
    if event.type == "DELETED":
        slices.pop(item.metadata.name, None)
    else:
        slices[item.metadata.name] = item


def _check(response: aiohttp.ClientResponse, body: bytes) -> None:
    if response.status != 200:
        raise _Refused(response.status, f"{response.reason}: {body[:200].decode(errors='replace')}")


@asynccontextmanager
async def _running_api(settings: KubernetesSource, service_account: Path) -> AsyncGenerator[_Api, None]:
    """Raises ConfigException or OSError where there are no credentials."""
    made = client.Configuration()
    made.retries = None
    namespace_file = service_account / "namespace"
    if not settings.kubeconfig and namespace_file.exists():
        _in_cluster(str(service_account / "token"), str(service_account / "ca.crt")).load_and_set(made)
        own = namespace_file.read_text().strip()
    else:
        loader = await _config.load_kube_config(
            settings.kubeconfig or None, settings.context or None, made, persist_config=False
        )
        own = str(loader.current_context["context"].get("namespace", "default"))
    async with client.ApiClient(made) as api:
        yield _Api(api, settings.namespace or own, settings)
