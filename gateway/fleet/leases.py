"""Leases: what each attempt claims of a replica, counted once and given back once, on whatever end it meets."""

from collections import Counter
from collections.abc import Callable

from gateway.fleet.counters import Counters, LocalCounters
from gateway.fleet.fleet import Fleet
from gateway.types import Facts, Usage, View

__all__ = ["Counters", "Lease", "LeaseError", "Ledger", "LocalCounters"]


class LeaseError(Exception):
    """A defect of ours: a lease released twice, or granted on an incarnation that is no more."""


class Lease:
    """One attempt's claim on one incarnation of a replica, from dispatch until the replica's stream has ended."""

    __slots__ = (
        "address", "ahead_tokens", "cached_tokens", "expected_s", "facts", "granted_at", "incarnation", "is_reading",
        "is_released", "ledger", "prefill_tokens", "replica_id", "slot",
    )  # fmt: skip

    def __init__(self, ledger: "Ledger", view: View, facts: Facts, address: str, slot: int, granted_at: float) -> None:
        self.ledger = ledger
        self.replica_id = view.id
        self.incarnation = view.incarnation
        self.address = address
        self.facts = facts
        self.slot = slot
        self.granted_at = granted_at
        self.cached_tokens = facts.cached_tokens(view)
        """Of its prompt, those thought to be cached."""
        self.ahead_tokens = view.prefill_tokens
        """Uncached prompt tokens that the replica still had to read before its own."""
        self.prefill_tokens = facts.prompt_tokens - self.cached_tokens
        """Uncached prompt tokens that it still counts."""
        self.is_reading = True
        """No token has come."""
        self.is_released = False
        self.expected_s: float | None = None
        """Predicted time to first token, where somebody compares."""

    def __repr__(self) -> str:
        return f"<Lease on {self.replica_id}/{self.incarnation}{' released' if self.is_released else ''}>"

    def first_token(self, now_s: float) -> None:
        """Count its prompt as read. May be called for every token, and after the end."""
        if self.is_reading:
            self.ledger.prefilled(self, now_s)

    def used(self, usage: Usage, now_s: float) -> None:
        """Learn from what it has cost. Before `release`."""
        self.ledger.used(self, usage, now_s)

    def release(self) -> None:
        """Give everything back. A second call raises LeaseError."""
        self.ledger.release(self)


class Ledger:
    """Grants leases and keeps the counters equal to their sum."""

    def __init__(self, fleet: Fleet, counters: Counters) -> None:
        self._fleet = fleet
        self._counters = counters
        self._leases: set[Lease] = set()
        self.on_expected: Callable[[float, float], None] = lambda expected_s, seen_s: None
        """Is told of first tokens whose time was predicted."""

    def grant(self, view: View, facts: Facts, address: str, now_s: float) -> Lease:
        """Claim a place on the incarnation that `view` shows."""
        slot = self._fleet.slot(view)
        if slot is None:
            raise LeaseError(f"{view.id}/{view.incarnation} is no more")
        lease = Lease(self, view, facts, address, slot, now_s)
        self._leases.add(lease)
        self._counters.add(slot, 1, lease.prefill_tokens, facts.prompt_tokens)
        self._fleet.counted(slot, is_freed=False)
        return lease

    def prefilled(self, lease: Lease, now_s: float) -> None:
        """The lease's own `first_token`."""
        lease.is_reading = False
        if lease.expected_s is not None:
            self.on_expected(lease.expected_s, now_s - lease.granted_at)
        self._fleet.answered(lease.slot, now_s - lease.granted_at, lease.ahead_tokens + lease.prefill_tokens, now_s)
        self._counters.add(lease.slot, 0, -lease.prefill_tokens, 0)
        lease.prefill_tokens = 0
        self._fleet.counted(lease.slot, is_freed=True)

    def used(self, lease: Lease, usage: Usage, now_s: float) -> None:
        """The lease's own `used`."""
        self._fleet.used(lease.slot, usage, now_s - lease.granted_at)
        prefix = lease.facts.prefix
        if prefix is not None:
            prefix.used(lease.replica_id, usage, lease.cached_tokens, is_settled=not lease.ahead_tokens)

    def release(self, lease: Lease) -> None:
        """The lease's own `release`."""
        if lease.is_released:
            raise LeaseError(f"released twice: {lease!r}")
        lease.is_released = True
        lease.is_reading = False
        self._leases.remove(lease)
        self._counters.add(lease.slot, -1, -lease.prefill_tokens, -lease.facts.prompt_tokens)
        lease.prefill_tokens = 0
        self._fleet.counted(lease.slot, is_freed=True)

    def held(self) -> dict[str, tuple[int, int]]:
        """Return how many leases each replica has here and their prefill tokens, whatever its incarnation."""
        held: dict[str, tuple[int, int]] = {}
        for lease in self._leases:
            requests, prefill_tokens = held.get(lease.replica_id, (0, 0))
            held[lease.replica_id] = (requests + 1, prefill_tokens + lease.prefill_tokens)
        return held

    def audit(self) -> int:
        """How far the counters are from the sum of the leases: 0, or there is a defect. Differences do not cancel."""
        sums: Counter[tuple[int, str]] = Counter()
        for lease in self._leases:
            sums[lease.slot, "requests"] += 1
            sums[lease.slot, "prefill_tokens"] += lease.prefill_tokens
            sums[lease.slot, "context_tokens"] += lease.facts.prompt_tokens
        for slot, (requests, prefill_tokens, context_tokens) in self._counters.own():
            sums[slot, "requests"] -= requests
            sums[slot, "prefill_tokens"] -= prefill_tokens
            sums[slot, "context_tokens"] -= context_tokens
        return sum(map(abs, sums.values()))

    def __len__(self) -> int:
        """Leases held."""
        return len(self._leases)

    def __repr__(self) -> str:
        return f"<Ledger of {len(self)}>"
