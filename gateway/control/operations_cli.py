"""The commands by which operators change a running gateway: drain, undrain, weight, policy, reload."""

import argparse
import getpass
import json
from collections.abc import Sequence

from rich.console import Console

from gateway.control.admin_cli import TIMEOUT_S, admin_parser, ask, complain
from gateway.control.operations import OPERATOR
from inference.v1 import admin_pb2 as pb
from inference.v1 import admin_pb2_grpc


def drain(arguments: Sequence[str]) -> int:
    """Each command returns 0, 1 where it is refused or the gateway does not answer, 2 where it is not understood."""
    options = _of_replica(
        "drain",
        "Give a replica no more requests, until undrain or the gateway's end; those that it has run to their ends.",
        arguments,
    )

    def change(admin: admin_pb2_grpc.AdminStub) -> None:
        request = pb.DrainReplicaRequest(replica_id=options.replica)
        said = admin.DrainReplica(request, timeout=TIMEOUT_S, metadata=_operator())
        _say(f"{options.replica} is drained", said.changed)

    return ask("drain", options.admin, change)


def undrain(arguments: Sequence[str]) -> int:
    options = _of_replica("undrain", "Let a replica's own health decide again.", arguments)

    def change(admin: admin_pb2_grpc.AdminStub) -> None:
        request = pb.UndrainReplicaRequest(replica_id=options.replica)
        said = admin.UndrainReplica(request, timeout=TIMEOUT_S, metadata=_operator())
        _say(f"{options.replica} is not drained", said.changed)

    return ask("undrain", options.admin, change)


def weight(arguments: Sequence[str]) -> int:
    parser = admin_parser("weight", "Set a replica's weight, until the gateway's end.")
    parser.add_argument("replica", metavar="REPLICA", help="its id, as `inference-gateway fleet` shows it")
    parser.add_argument("weight", metavar="WEIGHT", type=float, help="above 0; 0: the one that discovery gives it")
    options = parser.parse_args(arguments)

    def change(admin: admin_pb2_grpc.AdminStub) -> None:
        request = pb.SetWeightRequest(replica_id=options.replica, weight=options.weight)
        said = admin.SetWeight(request, timeout=TIMEOUT_S, metadata=_operator())
        usual = "the weight of discovery" if options.weight == 0 else f"weight {options.weight:g}"
        _say(f"{options.replica} has {usual}", said.changed)

    return ask("weight", options.admin, change)


def policy(arguments: Sequence[str]) -> int:
    parser = admin_parser("policy", "Change how replicas are chosen, until settings are read again.")
    parser.add_argument("policy", metavar="POLICY", help="a name, or outer:inner")
    parser.add_argument("--route", metavar="NAME", default="", help="of this route only")
    parser.add_argument(
        "--option", metavar="NAME=VALUE", action="append", default=[], help="of the policy; repeatable, VALUE as JSON"
    )
    options = parser.parse_args(arguments)
    try:
        given = {name: json.loads(value) for name, _, value in (each.partition("=") for each in options.option)}
    except ValueError:
        return complain("policy", f"--option {' '.join(options.option)}: VALUE is not JSON", 2)

    def change(admin: admin_pb2_grpc.AdminStub) -> None:
        request = pb.SetPolicyRequest(policy=options.policy, route=options.route, options_json=json.dumps(given))
        said = admin.SetPolicy(request, timeout=TIMEOUT_S, metadata=_operator())
        _say(f"{options.policy} picks" + (f" for {options.route}" if options.route else ""), said.changed)

    return ask("policy", options.admin, change)


def reload(arguments: Sequence[str]) -> int:
    options = admin_parser("reload", "Read the settings again and take over what has changed.").parse_args(arguments)

    def change(admin: admin_pb2_grpc.AdminStub) -> None:
        said = admin.Reload(pb.ReloadRequest(), timeout=TIMEOUT_S, metadata=_operator())
        _say(
            f"changed: {', '.join(said.settings)}" if said.settings else "the settings are in use", bool(said.settings)
        )

    return ask("reload", options.admin, change)


def _of_replica(command: str, description: str, arguments: Sequence[str]) -> argparse.Namespace:
    parser = admin_parser(command, description)
    parser.add_argument("replica", metavar="REPLICA", help="its id, as `inference-gateway fleet` shows it")
    return parser.parse_args(arguments)


def _operator() -> tuple[tuple[str, str], ...]:
    return ((OPERATOR, getpass.getuser()),)


def _say(what: str, is_changed: bool) -> None:
    Console(highlight=False, markup=False, soft_wrap=True).print(what if is_changed else f"{what}, as before")
