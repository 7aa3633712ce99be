"""`inference-gateway fleet`: the replicas that a gateway knows, as a table."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
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

TIMEOUT_S = 5.0
_WIDTH_OF_A_PIPE = 160
_ANSWERS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)

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
    parser = admin_parser("fleet", "Show the replicas of a gateway.")
    options = parser.parse_args(arguments)

    def show(admin: admin_pb2_grpc.AdminStub) -> None:
        console = wide_console()
        response = admin.ListReplicas(pb.ListReplicasRequest(), timeout=TIMEOUT_S)
        console.print(table(response))
        for reason in reasons(response):
            console.print(reason, soft_wrap=True)

    return ask("fleet", options.admin, show)


def admin_parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"inference-gateway {command}", description=description)
    parser.add_argument("--admin", metavar="ADDRESS", help="the gateway's --admin-listen (the only one of this user)")
    return parser


def ask(command: str, address: str | None, question: Callable[[admin_pb2_grpc.AdminStub], None]) -> int:
    """Put a question to a gateway. Return 0, 1 where it is refused or the gateway does not answer, 2 where it is not
    clear which gateway is meant."""
    try:
        with grpc.insecure_channel(target_of(address), options=[("grpc.enable_http_proxy", 0)]) as channel:
            question(admin_pb2_grpc.AdminStub(channel))
    except SettingsError as error:
        return complain(command, str(error), 2)
    except grpc.RpcError as error:
        reason = error.details() if isinstance(error, grpc.Call) else str(error)
        is_answer = isinstance(error, grpc.Call) and error.code() in _ANSWERS
        return complain(command, f"{reason}" if is_answer else f"the gateway does not answer: {reason}", 1)
    return 0


def wide_console() -> Console:
    """Return one that fits the terminal; where there is none, a row stays one line, for grep."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE)


def complain(command: str, message: str, code: int) -> int:
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(f"inference-gateway {command}: {message}")
    return code


def target_of(admin: str | None) -> str:
    """Return where the gateway answers operators. Raises SettingsError where that is not clear."""
    if admin is not None:
        return f"unix:{Path(admin.removeprefix('unix:')).absolute()}" if "/" in admin else admin
    found = living_sockets(runtime_directory(), "admin-*.sock")
    if len(found) != 1:
        which = f"several gateways of this user run: {', '.join(map(str, found))}"
        raise SettingsError(f"{which if found else 'no gateway of this user runs'}; name one with --admin")
    return f"unix:{found[0]}"


def table(response: pb.ListReplicasResponse) -> Table:
    """Return one row for each replica, narrow enough for 80 columns."""
    shown = Table(box=box.SIMPLE_HEAD, title=f"fleet, version {response.fleet_version}", title_justify="left")
    shown.add_column("replica", no_wrap=True)
    shown.add_column("state", no_wrap=True)
    shown.add_column("models", overflow="fold")
    for name in ("weight", "leases", "queued", "running", "cache", "age", "life"):
        shown.add_column(name, justify="right", no_wrap=True)
    for replica in response.replicas:
        shown.add_row(
            replica.id,
            state_of(replica),
            ", ".join(replica.models) or "-",
            f"{replica.weight:g}",
            str(replica.requests_in_flight),
            *load_of(replica),
            f"{replica.load.age_s:.1f}s" if replica.HasField("load") else "-",
            str(replica.incarnation),
        )
    return shown


def state_of(replica: pb.Replica) -> Text:
    name = pb.ReplicaState.Name(replica.state).removeprefix("REPLICA_STATE_").lower()
    return Text(name, style=_STYLES.get(replica.state, ""))


def reasons(response: pb.ListReplicasResponse) -> Iterator[Text]:
    """Yield a line for each replica that is not ready: why."""
    for replica in response.replicas:
        if replica.state != pb.REPLICA_STATE_READY:
            yield Text(f"{replica.id} is ").append_text(state_of(replica)).append(f": {replica.reason}", style="dim")


def load_of(replica: pb.Replica) -> tuple[str, str, str]:
    if not replica.HasField("load"):
        return "-", "-", "-"
    load = replica.load
    return f"{load.queue_depth:g}", f"{load.running_requests:g}", f"{load.kv_cache_utilization:.0%}"
