"""How many connections each agent has, in all workers together. Control accepts them, so it counts them; of their ends
nobody tells it: it looks, when somebody connects."""

import socket
from array import array

from gateway.config import LimitSettings
from gateway.errors import Limit
from gateway.fleet.presence import ALL_NETWORKS
from gateway.fleet.shared_counters import NETWORKS_AT, Rows

_IPV4_MAPPED = bytes(10) + b"\xff\xff"


class Peers:
    """Counted by IPv4 address, or by IPv6 network of 64 bits, which is what one host is given.

    A network has a number, which its connections take along to their worker, and by which that counts those that have
    ended (`gateway.fleet.presence`). What was handed over and has not ended is open. A network without open
    connections may lose its number to another. With `limits.connections` at most half of `NETWORKS`, there is always
    one to give."""

    def __init__(self, rows: Rows) -> None:
        self._ended = rows.workers
        self._handed_over = [array("q", [0]) for _ in rows.workers]
        """By worker and number."""
        self._networks = [""]
        """By number; the first is that of all."""
        self._numbers: dict[str, int] = {}
        self._hand = 0
        """The number that was last looked at for another network."""

    def enter(self, address: str, limits: LimitSettings) -> int | Limit:
        """Return the number with which to hand over a connection from `address`, or the limit that forbids it. It
        counts once it is handed over, which must be before the next one enters."""
        network = _network(address)
        number = self._numbers.get(network)
        if number is not None and self._open(number) >= limits.connections_per_address:
            return Limit.CONNECTIONS_PER_ADDRESS
        connections = self._open(ALL_NETWORKS)
        if connections >= limits.connections:
            return Limit.CONNECTIONS
        return self._give_number(network, connections) if number is None else number

    def handed_over(self, network: int, worker: int) -> None:
        """A connection with this number."""
        counts = self._handed_over[worker]
        counts[network] += 1
        counts[ALL_NETWORKS] += 1

    def bury(self, worker: int) -> None:
        """Its process is no more: all that was handed over to it has ended."""
        self._handed_over[worker] = array("q", self._ended[worker][NETWORKS_AT : NETWORKS_AT + len(self._networks)])

    def __repr__(self) -> str:
        return f"<Peers: {self._open(ALL_NETWORKS)} connections, {len(self._networks) - 1} networks>"

    def _open(self, number: int) -> int:
        """Return how many connections have not ended. A worker's last store may be seen late (Arm): then one more."""
        at = NETWORKS_AT + number
        return sum([counts[number] - row[at] for counts, row in zip(self._handed_over, self._ended, strict=True)])

    def _give_number(self, network: str, connections: int) -> int:
        """Return a new one, or that of a network that has none where more than half are such: two looks find one."""
        if len(self._networks) - 1 <= 2 * connections:
            number = len(self._networks)
            self._networks.append(network)
            for counts in self._handed_over:
                counts.append(0)
        else:
            number = self._next_free()
            del self._numbers[self._networks[number]]
            self._networks[number] = network
        self._numbers[network] = number
        return number

    def _next_free(self) -> int:
        """Go round, so that none is looked at again before all others."""
        while True:
            self._hand = self._hand % (len(self._networks) - 1) + 1
            if self._open(self._hand) <= 0:
                return self._hand


def _network(address: str) -> str:
    if ":" not in address:
        return address
    # A scope, as in fe80::1%eth0, is no part of the network.
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return socket.inet_ntoa(packed[12:]) if packed.startswith(_IPV4_MAPPED) else packed[:8].hex()
