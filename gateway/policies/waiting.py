"""How many requests wait at a replica, by its own report and by what the gateway knows better."""

from gateway.types import View

__all__ = ["waiting_requests"]

FRESH_S = 2.0
"""Twice the longest pause between two reports of a replica that is well."""
STALE_S = 10.0


def waiting_requests(view: View, now_s: float) -> float:
    """Return what the replica reported as waiting and what it cannot have seen. With the report's age between FRESH_S
    and STALE_S this turns, linearly, into the requests that the gateway itself has there; without a report it is those.
    """
    load = view.load
    if load is None:
        return view.requests
    told = load.queue_depth + view.unseen_requests
    age_s = now_s - load.received_at
    if age_s <= FRESH_S:
        return told
    doubt = min(1.0, (age_s - FRESH_S) / (STALE_S - FRESH_S))
    return told + doubt * (view.requests - told)
