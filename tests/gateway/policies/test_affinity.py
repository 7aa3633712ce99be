"""Policies that send a request where its prompt, or its session, has been."""

import random
import subprocess
import sys
from collections import Counter
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.policies.bounded import ALWAYS_FREE, overloaded
from gateway.policies.prefix_affinity import PrefixAffinity
from gateway.policies.rendezvous import Replicas, number
from gateway.policies.session_affinity import SessionAffinity
from gateway.policies.sticky_until_saturated import StickyUntilSaturated
from gateway.types import Facts, View
from tests.gateway.fleets import Cached, facts, view

VIEWS = [view(f"replica-{number}") for number in range(10)]
SESSIONS = [f"session-{number}" for number in range(2_000)]


def rng() -> random.Random:
    return random.Random(0)


def of_session(session_id: str) -> Facts:
    return replace(facts(), session_id=session_id)


def homes(views: list[View]) -> dict[str, str]:
    policy = SessionAffinity(rng())
    return {session_id: policy.pick(of_session(session_id), views, 0.0).id for session_id in SESSIONS}


def test_sessions_are_spread_over_all_replicas() -> None:
    counts = Counter(homes(VIEWS).values())
    assert len(counts) == 10
    assert all(150 < count < 250 for count in counts.values())


def test_sessions_are_spread_by_weight() -> None:
    views = [view(f"replica-{number}", weight=1.0 + 2.0 * (number == 3)) for number in range(6)]
    assert Counter(homes(views).values())["replica-3"] == pytest.approx(2_000 * 3 / 8, rel=0.1)


def test_a_replica_that_goes_moves_its_own_sessions_and_no_others() -> None:
    before, after = homes(VIEWS), homes(VIEWS[:4] + VIEWS[5:])
    assert all(after[session_id] == home for session_id, home in before.items() if home != "replica-4")
    orphans = Counter(after[session_id] for session_id, home in before.items() if home == "replica-4")
    assert len(orphans) == 9


def test_a_replica_that_comes_takes_its_share_of_sessions_and_moves_no_others() -> None:
    before, after = homes(VIEWS), homes([*VIEWS, view("replica-new")])
    moved = {session_id for session_id in SESSIONS if before[session_id] != after[session_id]}
    assert {after[session_id] for session_id in moved} == {"replica-new"}
    assert len(moved) == pytest.approx(2_000 / 11, rel=0.2)


def test_a_session_has_the_same_home_in_every_process() -> None:
    program = (
        "import random; from tests.gateway.policies.test_affinity import homes, VIEWS;"
        "print(''.join(home[-1] for home in homes(VIEWS).values()))"
    )
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "".join(home[-1] for home in homes(VIEWS).values())
    # Once and for all: a gateway of another version stands beside this one while it is replaced.
    assert run.stdout[:20] == "16182449282882202656"


def test_a_session_leaves_a_replica_that_is_too_busy_and_comes_back() -> None:
    policy, request = SessionAffinity(rng()), of_session("session-1")
    home = policy.pick(request, VIEWS, 0.0)
    busy = [replace(each, requests=50 if each is home else 10) for each in VIEWS]
    refuge = policy.pick(request, busy, 0.0)
    assert refuge.id != home.id
    assert policy.pick(request, busy, 0.0) is refuge
    assert policy.pick(request, VIEWS, 0.0) is home


def test_without_a_session_the_fewest_in_flight_decide() -> None:
    views = [replace(each, requests=3) for each in VIEWS[:-1]] + [VIEWS[-1]]
    assert SessionAffinity(rng()).pick(facts(), views, 0.0) is VIEWS[-1]


counts = st.lists(st.tuples(st.integers(0, 50), st.sampled_from((0.5, 1.0, 3.0))), min_size=1, max_size=12)


@given(counts=counts, bound=st.sampled_from((1.0, 1.25, 2.0)))
def test_within_the_bound_nobody_gets_more_than_so_many_times_its_share(
    counts: list[tuple[int, float]], bound: float
) -> None:
    views = [view(str(number), *each) for number, each in enumerate(counts)]
    full = overloaded(views, bound)
    free = [each for at, each in enumerate(views) if at not in full]
    assert free
    mean = (sum(each.requests for each in views) + 1) / sum(each.weight for each in views)
    for each in views:
        fits = each.requests + 1 <= bound * mean * each.weight + 1e-9 or each.requests < ALWAYS_FREE
        assert fits or each not in free or len(free) == len(views)


def test_affinity_to_one_prefix_fills_the_others_too() -> None:
    policy, views = PrefixAffinity(rng()), list(VIEWS)
    request = replace(facts(prompt_tokens=1_000), prefix=Cached({"replica-3": 900}))
    for _ in range(200):
        picked = policy.pick(request, views, 0.0)
        views[views.index(picked)] = replace(picked, requests=picked.requests + 1)
    assert max(each.requests for each in views) == views[3].requests <= 1.25 * 200 / 10 + 1
    assert min(each.requests for each in views) >= 18


def test_the_longest_cached_prefix_wins_and_of_equals_the_least_busy() -> None:
    policy = PrefixAffinity(rng())
    request = replace(facts(prompt_tokens=1_000), prefix=Cached({"replica-3": 900, "replica-5": 900, "replica-7": 800}))
    views = [replace(each, requests=2) if each.id == "replica-3" else each for each in VIEWS]
    assert policy.pick(request, views, 0.0).id == "replica-5"


def test_sticks_to_those_behind_the_gate_until_the_gap_is_too_wide() -> None:
    policy = StickyUntilSaturated(rng(), gate=0.8, release_tokens=5_000)
    request = replace(facts(prompt_tokens=1_000), prefix=Cached(a=800, b=799, c=900))
    a, b, c = (view(replica_id) for replica_id in "abc")
    assert policy.pick(request, [a, b, c], 0.0) is c
    assert policy.pick(request, [a, b, replace(c, prefill_tokens=101)], 0.0) is a
    behind = [replace(a, prefill_tokens=5_001), b, replace(c, prefill_tokens=9_000)]
    assert policy.pick(request, behind, 0.0) is behind[0]
    behind[0] = replace(a, prefill_tokens=5_002)
    assert policy.pick(request, behind, 0.0) is b


def test_nothing_cached_is_behind_no_gate() -> None:
    policy = StickyUntilSaturated(rng(), gate=0.0)
    views = [replace(view("a"), prefill_tokens=1), view("b")]
    assert policy.pick(facts(prompt_tokens=10), views, 0.0) is views[1]
    assert policy.pick(facts(), views, 0.0) is views[1]


def test_pairs_of_sessions_part_as_often_as_chance_would_have_it() -> None:
    """Rendezvous numbers of two sessions are not the same order of replicas."""
    together = Counter(homes(VIEWS).values())
    pairs = sum(comb(count, 2) for count in together.values()) / comb(len(SESSIONS), 2)
    assert pairs == pytest.approx(1 / 10, rel=0.1)


@given(st.text(max_size=20), st.lists(st.integers(1, 2**30 - 1), min_size=1, max_size=50))
def test_all_products_at_once_are_what_each_is_alone(session_id: str, numbers: list[int]) -> None:
    session = number(session_id) | 1
    heights = Replicas(numbers).heights(session_id, [1.0] * len(numbers))
    assert heights == [session * each % 2**30 for each in numbers]
