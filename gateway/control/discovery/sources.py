"""The kinds of sources. Each is a module with `watch`, imported only when it is chosen."""

from collections.abc import AsyncGenerator, Callable, Sequence
from importlib import import_module

from gateway.config import DnsSource, FileSource, KubernetesSource, ReplicaSettings, Source, SourceSettings, SrvSource
from gateway.errors import SettingsError

SOURCES: dict[type[SourceSettings], str] = {
    DnsSource: "gateway.control.discovery.dns_addresses",
    FileSource: "gateway.control.discovery.file",
    KubernetesSource: "gateway.control.discovery.endpoint_slices",
    SrvSource: "gateway.control.discovery.srv_records",
}
"""From settings to the module that has `watch(settings)`."""

Found = Sequence[ReplicaSettings]


class SourceFailed(Exception):
    """A source cannot say now what there is. It is watched anew after a pause."""


def watch_of(settings: Source) -> Callable[[], AsyncGenerator[Found, None]]:
    """Return what begins to watch a source: an iterator over all that the source names, in a stable order, at each
    change and at each proof that nothing has changed. It raises SourceFailed.

    Raises SettingsError where what it needs is not installed."""
    try:
        watch = import_module(SOURCES[type(settings)]).watch
    except ImportError as error:
        kind = settings.__struct_config__.tag
        reason = f"{kind} needs pip install 'inference-gateway[{kind}]' ({error})"
        raise SettingsError(f"discovery: {reason}") from None
    return lambda: watch(settings)
