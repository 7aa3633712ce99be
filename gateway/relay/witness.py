"""What a worker sees of replicas by their attempts: for control, and for its own views."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway import logs
from gateway.channel.messages import Awaited, Outcome, OutcomeKind, Outcomes, Progress
from gateway.fleet.counters import Counters
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Lease
from gateway.relay.timer import Timer
from gateway.rpc.reports import Reports
from gateway.types import Usage

if TYPE_CHECKING:
    from gateway.relay.attempt import Attempt

_log = logging.getLogger(__name__)

_GOOD_NEWS_DELAY_S: Final = 0.25
"""An ejection hangs on failures, and with them all is told that went well before. The rest, a trial's good end or an
answer after seconds of silence, may wait for as long as control does between two looks at the time."""

_ONCE: Final = frozenset((OutcomeKind.CONNECT_FAILED, OutcomeKind.CONNECTION_LOST))
"""One event, however many attempts it ended."""

_Life = tuple[str, int]
"""Replica id and incarnation."""


class Witness:
    """Collects outcomes, and knows which replicas owe something. Nothing here is done for a token."""

    def __init__(
        self,
        send: Callable[[Outcomes | Progress], object],
        call_later: Callable[[float, Callable[[], None]], Timer],
        fleet: Fleet,
        counters: Counters,
    ) -> None:
        self._send = send
        self._call_later = call_later
        self._fleet = fleet
        self._counters = counters
        self._outcomes: list[Outcome] = []
        self._answered: dict[_Life, int] = {}
        """How many were answered behind the last of `_outcomes`: control need not judge each."""
        self._timer: Timer | None = None
        self._is_urgent = False
        self._attempts: set[Attempt] = set()
        self._heard_at: dict[_Life, float] = {}
        self._since: dict[_Life, float] = {}

    def __repr__(self) -> str:
        return f"<Witness of {len(self._attempts)} attempts>"

    def begun(self, attempt: "Attempt") -> None:
        """The attempt has a stream. Where the gateway knows the method, that should bring something."""
        lease = attempt.lease
        if lease is None:
            return
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(logs.line("attempt", replica=lease.replica_id, incarnation=lease.incarnation))
        if lease.facts.model is not None:
            self._attempts.add(attempt)

    def over(self, attempt: "Attempt") -> None:
        if attempt in self._attempts:
            self._attempts.remove(attempt)
            self._note_heard(attempt)

    def ended(self, lease: Lease | None, kind: OutcomeKind) -> None:
        """An attempt has ended by the replica's doing. With no lease it was control's, and tells nothing."""
        if lease is None:
            return
        life = _life(lease)
        if kind is OutcomeKind.ANSWERED:
            self._answered[life] = self._answered.get(life, 0) + 1
        else:
            outcome = Outcome(*life, kind)
            if kind in _ONCE and outcome in self._outcomes:
                return
            self._settle(life)
            self._outcomes.append(outcome)
        self._tell_soon(is_urgent=kind is not OutcomeKind.ANSWERED)

    def reported(self, lease: Lease | None, trailer: bytes, reports: Reports, now_s: float) -> Usage | None:
        """A replica has sent a load report with a response, which `reports` reads; return what the request has cost.
        Malformed, it is no reason to fail the request."""
        if lease is None:
            return None
        try:
            load, usage = reports.read(trailer, now_s)
        except ValueError as error:
            _log.info(logs.line("load_report_malformed", replica=lease.replica_id, reason=error))
            return None
        self._fleet.reported(lease.replica_id, lease.incarnation, load)
        if usage is not None:
            lease.used(usage, now_s)
        return usage

    def tell_progress(self) -> None:
        """Say which replicas owe something, and what came from them; to be called every second."""
        owing: dict[_Life, Lease] = {}
        for attempt in self._attempts:
            self._note_heard(attempt)
            if attempt.lease is not None and not attempt.is_held_up:
                lease = owing.setdefault(_life(attempt.lease), attempt.lease)
                if attempt.lease.granted_at < lease.granted_at:
                    owing[_life(attempt.lease)] = attempt.lease
        self._since = {life: self._since.get(life, lease.granted_at) for life, lease in owing.items()}
        self._heard_at = {life: self._heard_at.get(life, 0.0) for life in owing}
        if owing:
            self._send(Progress([self._awaited(life, lease) for life, lease in owing.items()]))

    def _awaited(self, life: _Life, lease: Lease) -> Awaited:
        _, prefill_tokens, _ = self._counters.total(lease.slot)
        return Awaited(*life, self._since[life], self._heard_at[life], prefill_tokens)

    def _note_heard(self, attempt: "Attempt") -> None:
        if attempt.lease is not None and attempt.heard_at is not None:
            life = _life(attempt.lease)
            self._heard_at[life] = max(self._heard_at.get(life, 0.0), attempt.heard_at)

    def _tell_soon(self, *, is_urgent: bool) -> None:
        if self._timer is not None:
            if self._is_urgent or not is_urgent:
                return
            self._timer.cancel()
        self._is_urgent = is_urgent
        self._timer = self._call_later(0.0 if is_urgent else _GOOD_NEWS_DELAY_S, self._tell)

    def _tell(self) -> None:
        self._timer = None
        for life in list(self._answered):
            self._settle(life)
        outcomes, self._outcomes = self._outcomes, []
        self._send(Outcomes(outcomes))

    def _settle(self, life: _Life) -> None:
        answered = self._answered.pop(life, 0)
        if answered:
            self._outcomes.append(Outcome(*life, OutcomeKind.ANSWERED, answered))


def _life(lease: Lease) -> _Life:
    return lease.replica_id, lease.incarnation
