"""`inference-gateway top`: what goes through a gateway, live."""

import time
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.control.admin_cli import TIMEOUT_S, admin_parser, ask, load_of, reasons, state_of, wide_console
from inference.v1 import admin_pb2 as pb
from inference.v1 import admin_pb2_grpc

_BAR = 8


class Look(NamedTuple):
    """What a gateway said at one instant."""

    activity: pb.GetActivityResponse
    fleet: pb.ListReplicasResponse


def top(arguments: Sequence[str]) -> int:
    """Show until Ctrl-C; return 0, or as `fleet` does."""
    parser = admin_parser("top", "Watch a gateway: its fleet, rates, queue and time to first token.")
    parser.add_argument("--interval", metavar="S", type=float, default=1.0, help="between two looks (1)")
    parser.add_argument("--count", metavar="N", type=int, default=0, help="end after so many looks (never)")
    options = parser.parse_args(arguments)

    def watch(admin: admin_pb2_grpc.AdminStub) -> None:
        before = _look(admin)
        console = wide_console()
        with Live(screen(before, before), console=console, screen=console.is_terminal, auto_refresh=False) as live:
            for _ in looks(options.count):
                time.sleep(max(0.1, options.interval))  # noqa: TID251 (a program of its own, with nothing else to do)
                now = _look(admin)
                live.update(screen(before, now), refresh=True)
                before = now

    try:
        return ask("top", options.admin, watch)
    except KeyboardInterrupt:
        return 0


def looks(count: int) -> Iterator[None]:
    """Return so many; 0: without end."""
    return repeat(None, count) if count else repeat(None)


def _look(admin: admin_pb2_grpc.AdminStub) -> Look:
    activity = admin.GetActivity(pb.GetActivityRequest(), timeout=TIMEOUT_S)
    return Look(activity, admin.ListReplicas(pb.ListReplicasRequest(), timeout=TIMEOUT_S))


def screen(before: Look, now: Look) -> Group:
    """Return what an operator sees: rates are those between two looks."""
    old, new = before.activity, now.activity
    passed_s = max(new.at_s - old.at_s, 1e-9)
    failed = (new.requests_failed - old.requests_failed) / passed_s
    counts = [a - b for a, b in zip(new.time_to_first_token.counts, old.time_to_first_token.counts or (), strict=False)]
    p50, p95 = (_seconds(quantile(new.time_to_first_token.bounds_s, counts, share)) for share in (0.5, 0.95))
    traffic = (
        _figure("requests/s", f"{(new.requests_ended - old.requests_ended) / passed_s:.1f}"),
        _figure("failed/s", f"{failed:.1f}", "red" if failed else ""),
        _figure("messages/s", f"{(new.messages - old.messages) / passed_s:.0f}"),
        _figure("in flight", str(new.streams_open)),
        _figure("waiting", str(new.requests_parked), "yellow" if new.requests_parked else ""),
    )
    latency = (_figure("first token p50", p50), _figure("p95", p95), _figure("connections", str(new.connections_open)))
    ready = sum(replica.state == pb.REPLICA_STATE_READY for replica in now.fleet.replicas)
    title = Text(f"{ready} of {len(now.fleet.replicas)} replicas ready", "bold").append(
        f"   policy {new.policy}", "dim"
    )
    if new.settings_refused:
        title.append("   the settings last asked for were refused", "red")
    gap = Text("   ")
    return Group(title, gap.join(traffic), gap.join(latency), _fleet(before, now, passed_s), *reasons(now.fleet))


def _fleet(before: Look, now: Look, passed_s: float) -> Table:
    """Return one row for each replica, narrow enough for 80 columns."""
    earlier = {each.id: each for each in before.activity.replicas}
    later = {each.id: each for each in now.activity.replicas}
    most = max((replica.requests_in_flight for replica in now.fleet.replicas), default=0)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("replica", overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("weight", "msgs/s", "leases"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", width=_BAR, no_wrap=True)
    for name in ("queued", "running", "cache"):
        table.add_column(name, justify="right", no_wrap=True)
    for replica in now.fleet.replicas:
        new, old = later.get(replica.id), earlier.get(replica.id)
        rate = ((new.messages if new else 0) - (old.messages if old else 0)) / passed_s
        table.add_row(
            replica.id,
            state_of(replica),
            f"{replica.weight:g}",
            f"{rate:.0f}",
            str(replica.requests_in_flight),
            Text("\u2588" * round(_BAR * replica.requests_in_flight / most) if most else "", "cyan"),
            *load_of(replica),
        )
    return table


def quantile(bounds_s: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Return below which bound that share of what was counted lies; None: nothing was counted, or it lies above all."""
    rest = share * sum(counts)
    for bound, count in zip(bounds_s, counts, strict=False):
        rest -= count
        if count and rest <= 0:
            return bound
    return None


def _figure(name: str, value: str, style: str = "") -> Text:
    return Text(f"{name} ", "dim").append(value, style or "bold")


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"\u2264 {value * 1000:g} ms" if value < 1 else f"\u2264 {value:g} s"
