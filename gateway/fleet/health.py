"""The health of a replica: one total table of states and events. Pure: no clock, no counters, no connection.

The fleet's owner in control keeps what the table does not (timers, failure counts, who is connected), turns what it
sees into events and writes the state that comes back:

    record = record._replace(state=transition(record.state, Event.SERVING))

A replica begins as STARTING and only READY ones get requests. GONE is the end of a record, not of a replica: one that
discovery names again is a new record.
"""

from enum import Enum
from types import MappingProxyType

from gateway.types import ReplicaState

__all__ = ["TABLE", "Event", "transition"]


class Event(Enum):
    """What can happen to a replica. The first six come from discovery and the health connection."""

    CONNECTED = "connected"
    """The health connection, or the Watch on it, is up again, and nothing has been said on it yet."""
    CONNECTION_LOST = "connection lost"
    SERVING = "serving"
    """Watch says SERVING (UNIMPLEMENTED counts) and the replica was asked for its models in this incarnation: the later
    of the two raises it. While an operator drains a replica, its owner holds this back."""
    NOT_SERVING = "not serving"
    """Watch says so, or an operator drains the replica."""
    NEW_INCARNATION = "new incarnation"
    """Another process answers at the address. Its owner forgets models, failures and ejections of the old one."""
    REMOVED = "removed"
    """Discovery names it no more. Leases on it run on to their own ends."""

    # Outcomes of requests and their progress.
    FAILURES_EXCEEDED = "failures exceeded"
    PROGRESS_STALLED = "progress stalled"
    """Work is leased to it and no token came within the budget for it."""
    PROGRESSED = "progressed"
    """A token came. Raised only while the health connection is up: what was on its way when it broke proves nothing."""
    EJECTION_ENDED = "ejection ended"
    """The time is up that its owner began to count when the replica was ejected."""
    PROBE_SUCCEEDED = "probe succeeded"
    """The one request that probation admits, or a prober's own."""
    PROBE_FAILED = "probe failed"


_Row = tuple[ReplicaState, ReplicaState, ReplicaState, ReplicaState, ReplicaState, ReplicaState, ReplicaState]
_STARTING, _READY, _SUSPECT, _EJECTED, _PROBATION, _DRAINING, _GONE = ReplicaState

# Why some cells are as they are:
# - A lost connection makes a ready replica suspect, not starting: where control alone has lost touch, those that ask
#   for suspects when nothing better is left still find it. The new connection decides.
# - Words do not clear what deeds caused: SERVING neither ends an ejection nor makes a stalled replica ready.
# - NOT_SERVING outranks suspicion, ejection and probation, because such a replica must get nothing even in need.
# - A connection that breaks during probation is a failed trial; else reconnecting would be a way out of an ejection.
# fmt: off
TABLE: MappingProxyType[Event, _Row] = MappingProxyType({
    #                         STARTING    READY       SUSPECT     EJECTED     PROBATION   DRAINING    GONE
    Event.CONNECTED:         (_STARTING,  _STARTING,  _STARTING,  _EJECTED,   _PROBATION, _DRAINING,  _GONE),
    Event.CONNECTION_LOST:   (_STARTING,  _SUSPECT,   _SUSPECT,   _EJECTED,   _EJECTED,   _DRAINING,  _GONE),
    Event.SERVING:           (_READY,     _READY,     _SUSPECT,   _EJECTED,   _PROBATION, _READY,     _GONE),
    Event.NOT_SERVING:       (_STARTING,  _DRAINING,  _DRAINING,  _DRAINING,  _DRAINING,  _DRAINING,  _GONE),
    Event.NEW_INCARNATION:   (_STARTING,  _STARTING,  _STARTING,  _STARTING,  _STARTING,  _STARTING,  _GONE),
    Event.REMOVED:           (_GONE,      _GONE,      _GONE,      _GONE,      _GONE,      _GONE,      _GONE),
    Event.FAILURES_EXCEEDED: (_STARTING,  _EJECTED,   _EJECTED,   _EJECTED,   _EJECTED,   _DRAINING,  _GONE),
    Event.PROGRESS_STALLED:  (_STARTING,  _SUSPECT,   _SUSPECT,   _EJECTED,   _EJECTED,   _DRAINING,  _GONE),
    Event.PROGRESSED:        (_STARTING,  _READY,     _READY,     _EJECTED,   _PROBATION, _DRAINING,  _GONE),
    Event.EJECTION_ENDED:    (_STARTING,  _READY,     _SUSPECT,   _PROBATION, _PROBATION, _DRAINING,  _GONE),
    Event.PROBE_SUCCEEDED:   (_STARTING,  _READY,     _READY,     _EJECTED,   _READY,     _DRAINING,  _GONE),
    Event.PROBE_FAILED:      (_STARTING,  _READY,     _EJECTED,   _EJECTED,   _EJECTED,   _DRAINING,  _GONE),
})
# fmt: on


def transition(state: ReplicaState, event: Event) -> ReplicaState:
    """The state after `event`; defined for every pair."""
    return TABLE[event][state - 1]
