"""`inference-gateway explain`: which replica a request would get now, and why."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.json_format import MessageToJson
from rich import box
from rich.table import Table

from gateway.control.admin_cli import TIMEOUT_S, admin_parser, ask, complain, wide_console
from inference.v1 import admin_pb2 as pb
from inference.v1 import admin_pb2_grpc, inference_pb2

_STYLES = {"picked": "green", "left_out": "yellow", "no_candidate": "dim"}


def explain(arguments: Sequence[str]) -> int:
    """Print the table; return 0, 1 where the gateway does not answer or refuses such a request, 2 where the command is
    not understood."""
    options = _parser().parse_args(arguments)
    try:
        request = _request(options)
    except (OSError, ValueError) as error:
        return complain("explain", str(error), 2)

    def show(admin: admin_pb2_grpc.AdminStub) -> None:
        response = admin.Explain(request, timeout=TIMEOUT_S)
        console = wide_console()
        if options.json:
            console.print(MessageToJson(response, always_print_fields_with_no_presence=True), soft_wrap=True)
        else:
            console.print(headline(response), soft_wrap=True)
            console.print(table(response))

    return ask("explain", options.admin, show)


def _parser() -> argparse.ArgumentParser:
    parser = admin_parser("explain", "Say which replica a request would get now, and why. Nothing is sent to it.")
    parser.add_argument("--model", default="", help="as an agent names it (the only one that is served)")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", metavar="TEXT", default="")
    prompt.add_argument("--prompt-file", metavar="FILE", type=Path, help="the prompt, UTF-8")
    parser.add_argument("--session", metavar="ID", default="", help="the session that it belongs to")
    parser.add_argument("--lora", metavar="NAME", default="", help="the adapter that it asks for")
    parser.add_argument("--cache-salt", metavar="SALT", default="")
    parser.add_argument("--header", metavar="NAME=VALUE", action="append", default=[], help="metadata; repeatable")
    parser.add_argument("--exclude", metavar="REPLICA", action="append", default=[], help="will not do; repeatable")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _request(options: argparse.Namespace) -> pb.ExplainRequest:
    """Raises OSError, or ValueError where the prompt is not UTF-8 or a header has no value."""
    metadata: dict[str, str] = {}
    for header in options.header:
        name, equals, value = header.partition("=")
        if not equals:
            raise ValueError(f"--header {header}: not NAME=VALUE")
        metadata[name] = value
    generate = inference_pb2.GenerateRequest(
        model=options.model,
        text=options.prompt_file.read_text(encoding="utf-8") if options.prompt_file else options.prompt,
        session_id=options.session,
        lora_name=options.lora,
        cache_salt=options.cache_salt,
    )
    return pb.ExplainRequest(generate=generate, metadata=metadata, excluded_replica_ids=options.exclude)


def headline(response: pb.ExplainResponse) -> str:
    what = f"picked {response.replica_id}" if response.replica_id else f"{response.outcome}: {response.reason}"
    compares = "" if response.compares else ", which compares by no number"
    return f"route {response.route}, policy {response.policy}{compares}, {response.prompt_tokens} prompt tokens: {what}"


def table(response: pb.ExplainResponse) -> Table:
    """Return one row for each replica of the fleet, narrow enough for 80 columns."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("replica", no_wrap=True)
    shown.add_column("why", min_width=16)
    for name in ("load", "wait s", "leases", "ahead", "cached", "weight", "report s"):
        shown.add_column(name, justify="right", no_wrap=True)
    for one in response.considered:
        shown.add_row(
            one.id,
            f"{one.verdict.replace('_', ' ')}: {one.reason}",
            f"{one.load:.4g}" if one.HasField("load") else "-",
            f"{one.expected_wait_s:.3f}",
            str(one.requests),
            str(one.prefill_tokens),
            str(one.cached_tokens),
            f"{one.weight:g}",
            f"{one.report_age_s:.1f}" if one.HasField("report_age_s") else "-",
            style=_STYLES.get(one.verdict, ""),
        )
    return shown
