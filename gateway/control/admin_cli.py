"""`inference-gateway fleet`: the replicas that a gateway knows, as a table."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import grpc
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.control.sockets import living_sockets, runtime_directory
from gateway.errors import SettingsError
from inference.v1 import admin_pb2 as pb
from inference.v1 import admin_pb2_grpc

_TIMEOUT_S = 5.0

_STYLES = {
    pb.REPLICA_STATE_READY: "green",
    pb.REPLICA_STATE_STARTING: "cyan",
    pb.REPLICA_STATE_SUSPECT: "yellow",
    pb.REPLICA_STATE_PROBATION: "yellow",
    pb.REPLICA_STATE_EJECTED: "red",
    pb.REPLICA_STATE_DRAINING: "magenta",
}


def fleet(arguments: Sequence[str]) -> int:
    """Print the table; return 0, 1 where the gateway does not answer, 2 where it is not clear which is meant."""
    parser = argparse.ArgumentParser(prog="inference-gateway fleet", description="Show the replicas of a gateway.")
    parser.add_argument("--admin", metavar="ADDRESS", help="the gateway's --admin-listen (the only one of this user)")
    options = parser.parse_args(arguments)
    try:
        response = _list_replicas(_target(options.admin))
    except SettingsError as error:
        return _complain(str(error), 2)
    except grpc.RpcError as error:
        reason = error.details() if isinstance(error, grpc.Call) else str(error)
        return _complain(f"the gateway does not answer: {reason}", 1)
    Console().print(table(response))
    return 0


def _complain(message: str, code: int) -> int:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"inference-gateway fleet: {message}")
    return code


def _target(admin: str | None) -> str:
    if admin is not None:
        return f"unix:{Path(admin.removeprefix('unix:')).absolute()}" if "/" in admin else admin
    found = living_sockets(runtime_directory(), "admin-*.sock")
    if len(found) != 1:
        which = f"several gateways of this user run: {', '.join(map(str, found))}"
        raise SettingsError(f"{which if found else 'no gateway of this user runs'}; name one with --admin")
    return f"unix:{found[0]}"


def _list_replicas(target: str) -> pb.ListReplicasResponse:
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        return admin_pb2_grpc.AdminStub(channel).ListReplicas(pb.ListReplicasRequest(), timeout=_TIMEOUT_S)


def table(response: pb.ListReplicasResponse) -> Table:
    """Return one row for each replica, narrow enough for 80 columns."""
    shown = Table(box=box.SIMPLE_HEAD, title=f"fleet, version {response.fleet_version}", title_justify="left")
    shown.add_column("replica", no_wrap=True)
    shown.add_column("state", overflow="fold")
    shown.add_column("models", overflow="fold")
    for name in ("leases", "queued", "running", "cache", "life"):
        shown.add_column(name, justify="right", no_wrap=True)
    for replica in response.replicas:
        shown.add_row(
            replica.id,
            _state(replica),
            ", ".join(replica.models) or "-",
            str(replica.requests_in_flight),
            *_load(replica),
            str(replica.incarnation),
        )
    return shown


def _state(replica: pb.Replica) -> Text:
    """Return the state, and why it is not the one that is wished for."""
    name = pb.ReplicaState.Name(replica.state).removeprefix("REPLICA_STATE_").lower()
    text = Text(name, style=_STYLES.get(replica.state, ""))
    return text if replica.state == pb.REPLICA_STATE_READY else text.append(f": {replica.reason}", style="dim")


def _load(replica: pb.Replica) -> tuple[str, str, str]:
    if not replica.HasField("load"):
        return "-", "-", "-"
    load = replica.load
    return f"{load.queue_depth:g}", f"{load.running_requests:g}", f"{load.kv_cache_utilization:.0%}"
