"""One hostile peer: python -m benchmarks.attacks.attacker NAME HOST:PORT SECONDS

Prints `attacking` when it begins, and in the end how often it was cut off and how many bytes it sent, as JSON. It shall
cost others little but what it costs the gateway: it has no asyncio, and may run only while nobody else wants its core.
"""

import argparse
import json
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from benchmarks.attacks.attacks import ATTACKS, Attack

_STUCK_S = 0.5
"""A server that takes nothing for so long is not reading: then the peer looks at the clock."""


@dataclass
class Effort:
    cut_off: int = 0
    sent_bytes: int = 0


class Cut(Exception):
    """The server has ended the connection."""


def _drain(connection: socket.socket) -> None:
    """Throw away what has come. Raises Cut."""
    while select.select([connection], [], [], 0)[0]:
        if not connection.recv(1 << 20):
            raise Cut


def _connect(address: tuple[str, int], attack: Attack) -> socket.socket:
    connection = socket.create_connection(address, timeout=_STUCK_S)
    connection.sendall(attack.opening)
    return connection


def flood(attack: Attack, address: tuple[str, int], is_over: Callable[[], bool]) -> Effort:
    effort = Effort()
    while not is_over():
        try:
            with _connect(address, attack) as connection:
                _flood_one(connection, attack, is_over, effort)
        except TimeoutError:
            pass
        except (OSError, Cut):
            effort.cut_off += 1
    return effort


def _flood_one(connection: socket.socket, attack: Attack, is_over: Callable[[], bool], effort: Effort) -> None:
    for piece in attack.pieces():
        sent = 0
        while sent < len(piece) and not is_over():
            try:
                sent += connection.send(piece[sent:])
            except TimeoutError:
                continue
        effort.sent_bytes += sent
        if is_over():
            return
        if attack.reads:
            _drain(connection)


def hold(attack: Attack, address: tuple[str, int], is_over: Callable[[], bool]) -> Effort:
    effort = Effort()
    with ExitStack() as stack:
        held = [(stack.enter_context(_connect(address, attack)), attack.pieces()) for _ in range(attack.held)]
        while not is_over():
            for connection, pieces in tuple(held):
                try:
                    effort.sent_bytes += connection.send(next(pieces))
                    if attack.reads:
                        _drain(connection)
                except (OSError, Cut):
                    effort.cut_off += 1
                    held.remove((connection, pieces))
            time.sleep(attack.pause_s)
    return effort


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks.attacker")
    parser.add_argument("name", choices=ATTACKS)
    parser.add_argument("address")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--yields", action="store_true", help="run while nobody else wants the core")
    arguments = parser.parse_args()
    host, _, port = arguments.address.rpartition(":")
    if arguments.yields:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    print("attacking", flush=True)
    over_at = time.monotonic() + arguments.seconds
    attack = ATTACKS[arguments.name]
    effort = (hold if attack.held else flood)(attack, (host, int(port)), lambda: time.monotonic() > over_at)
    print(json.dumps(asdict(effort)), flush=True)


if __name__ == "__main__":
    main()
