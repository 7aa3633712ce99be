"""How many connections each agent has."""

from collections import Counter
from ipaddress import IPv6Address

from gateway.config import LimitSettings
from gateway.errors import Limit
from gateway.fleet.counters import LocalTally, Tally


class Peers:
    """Counted by IPv4 address, or by IPv6 network of 64 bits, which is what one host is given. Agents on a Unix socket
    are one. `tally` knows how many other workers have in all."""

    def __init__(self, limits: LimitSettings, tally: Tally | None = None) -> None:
        self.limits = limits
        self._connections = Counter[str]()
        self._tally = tally or LocalTally()
        self._total = 0

    def enter(self, address: str) -> Limit | None:
        """Count a connection from `address`. Return the limit that forbids it; then it is not counted."""
        network = _network(address)
        if self._connections[network] >= self.limits.connections_per_address:
            return Limit.CONNECTIONS_PER_ADDRESS
        # Counted first: where two workers want the last place at once, rather neither gets it than both.
        self._add(1)
        if self._total + self._tally.elsewhere() > self.limits.connections:
            self._add(-1)
            return Limit.CONNECTIONS
        self._connections[network] += 1
        return None

    def leave(self, address: str) -> None:
        """One of those counted has ended."""
        network = _network(address)
        self._connections[network] -= 1
        self._add(-1)
        if not self._connections[network]:
            del self._connections[network]

    def _add(self, connections: int) -> None:
        self._total += connections
        self._tally.set(self._total)


def _network(address: str) -> str:
    if ":" not in address:
        return address
    # A scope, as in fe80::1%eth0, is no part of the network.
    parsed = IPv6Address(address.partition("%")[0])
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
