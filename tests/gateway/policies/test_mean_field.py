"""Against queueing theory: many equal servers, Poisson arrivals, exponential work.

At 0.8 of the capacity a request takes 5 service times where the server is drawn, and 1.95 where the better of two is
(Mitzenmacher 2001: the sum of 0.8 ** (2 ** i - 2)), as the number of servers grows; where the best of all is, there is
always one that is idle.
"""

import heapq
import random
from collections import deque

import pytest
from msgspec.structs import replace

from gateway.policies import build
from gateway.types import View
from tests.gateway.fleets import facts, view

SERVERS = 100
LOAD = 0.8
WARM_UP = 8_000
REQUESTS = 24_000


@pytest.mark.parametrize(
    ("name", "expected", "tolerance"),
    [
        ("random", 5.0, 0.15),
        ("power_of_two", 1.95, 0.05),
        ("least_connection", 1.0, 0.06),
    ],
)
def test_time_in_the_system_is_what_theory_says(name: str, expected: float, tolerance: float) -> None:
    assert mean_time(name) == pytest.approx(expected, rel=tolerance)


def mean_time(name: str) -> float:
    """Return the mean of waiting and service, in service times."""
    policy, rng, now_s, total_s = build(name, random.Random(1)), random.Random(2), 0.0, 0.0
    views = [view(f"{number:03}") for number in range(SERVERS)]
    queues = [deque[float]() for _ in range(SERVERS)]
    ends: list[tuple[float, int]] = []
    for number in range(REQUESTS):
        now_s += rng.expovariate(LOAD * SERVERS)
        while ends and ends[0][0] <= now_s:
            _, server = heapq.heappop(ends)
            queues[server].popleft()
            views[server] = replace(views[server], requests=len(queues[server]))
        picked = policy.pick(facts(), views, now_s)
        assert isinstance(picked, View)
        server = int(picked.id)
        begins_s = queues[server][-1] if queues[server] else now_s
        ends_s = begins_s + rng.expovariate(1.0)
        queues[server].append(ends_s)
        heapq.heappush(ends, (ends_s, server))
        views[server] = replace(picked, requests=len(queues[server]))
        if number >= WARM_UP:
            total_s += ends_s - now_s
    return total_s / (REQUESTS - WARM_UP)
