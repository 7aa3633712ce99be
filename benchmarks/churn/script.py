"""What happens to whom and when: drawn before the run, the same for the same seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

KEEP = 2
"""So many replicas are always left alone, so that no request has an excuse."""
_PAUSE_S = (0.5, 4.0)
"""From the beginning of one episode to that of the next."""
_LASTS_S = (2.0, 8.0)
_REST_S = 3.0
"""After an episode: its replica starts, connects and says that it serves."""
_CALM_S = 8.0
"""At the end of the run nothing new begins, and then all is as it was."""
_SWAP_EVERY_S = 60.0


class Kind(Enum):
    """What one episode does to a replica, and how it ends."""

    FREEZE = "frozen"
    """SIGSTOP; SIGCONT."""
    KILL = "killed"
    """SIGKILL; a new process at the same address."""
    RESTART = "restarted"
    """SIGTERM: it says NOT_SERVING and finishes what it has; a new process at the same address."""
    LEAVE = "left"
    """The watched file names it no more; names it again."""
    DRAIN = "drained"
    """By an operator; undrained."""


_ROUND = (*((kind, False) for kind in Kind), (Kind.FREEZE, True))
"""Each kind has its turn, and once all that may be taken are frozen: fewer than half are left, which is panic."""


@dataclass(frozen=True, slots=True)
class Act:
    """The begin or the end of an episode, `at_s` after the begin of the run."""

    at_s: float
    kind: Kind
    replica: int
    is_end: bool = False


def acts(seconds: float, replicas: int, rng: random.Random) -> list[Act]:
    """Return all episodes of a run, in the order of their instants."""
    drawn: list[Act] = []
    free_at = [0.0] * replicas
    turns = list[tuple[Kind, bool]]()
    now_s = rng.uniform(*_PAUSE_S)
    while now_s + _LASTS_S[0] + _CALM_S < seconds:
        free = [number for number in range(replicas) if free_at[number] <= now_s]
        may_take = len(free) - KEEP
        if may_take > 0:
            turns = turns or rng.sample(_ROUND, len(_ROUND))
            kind, takes_all = turns.pop()
            end_s = min(now_s + rng.uniform(*_LASTS_S), seconds - _CALM_S)
            for number in rng.sample(free, may_take if takes_all else 1):
                drawn += [Act(now_s, kind, number), Act(end_s, kind, number, is_end=True)]
                free_at[number] = end_s + _REST_S
        now_s += rng.uniform(*_PAUSE_S)
    return sorted(drawn, key=lambda act: act.at_s)


def swap_every_s(seconds: float, policies: Sequence[str]) -> float:
    """Return how long each policy is in use: a minute, or less where not all would get a turn."""
    return min(_SWAP_EVERY_S, seconds / len(policies))
