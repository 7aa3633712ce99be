"""What every policy must do, whatever it is for. A new line in POLICIES is tested here without being named."""

import inspect
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.fleet.leases import Lease
from gateway.policies import POLICIES, build
from gateway.policies.base import LoadPolicy
from gateway.types import Facts, LoadReport, Pace, ReplicaState, View
from gateway.view_list import ViewList
from tests.gateway.fleets import Cached, Deciding, facts, row, view

GATEWAYS = 5
REQUESTS = 150
"""Of each gateway for each fleet."""
IN_FLIGHT = 40
"""Over all gateways."""


def fleet(rng: random.Random) -> Sequence[View]:
    """Up to six replicas in any condition."""

    def load() -> LoadReport:
        told = (rng.randrange(99), rng.randrange(99), rng.random(), rng.randrange(9_999), rng.randrange(9))
        received_at = -rng.choice((0.1, 5.0, 200.0))
        rates = (rng.choice((0.0, 0.5, 2.0)), rng.choice((0.0, 9.0)), rng.choice((0.0, 0.1, 9.0)))
        return LoadReport(*told, rng.randrange(999), received_at, *rates)

    def count() -> int:
        return rng.choice((0, 1, 2, rng.randrange(1_000)))

    def pace() -> Pace:
        return Pace(rng.random() / 2, rng.uniform(-99, 99), rng.random() / 2, rng.choice((0.0, 1e-3)), 99.0, 50.0)

    return [
        View(
            *(f"{number:02}", 1, ReplicaState.READY, rng.choice((0.1, 1.0, 7.0)), rng.choice((None, load()))),
            *(count(), count(), count(), rng.randrange(9), rng.choice((None, pace()))),
        )
        for number in sorted(rng.sample(range(100), rng.randint(1, 6)))
    ]


def asked(seed: int) -> Sequence[tuple[Facts, Sequence[View]]]:
    """A few requests, each with those who may serve it."""
    rng = random.Random(seed)
    sequence: list[tuple[Facts, Sequence[View]]] = []
    for _ in range(rng.randint(1, 4)):
        tokens, views = rng.randint(1, 1_000), fleet(rng)
        cached = Cached({view.id: rng.choice((0, tokens - 1, rng.randrange(tokens))) for view in views})
        request = replace(facts(prompt_tokens=tokens), session_id=rng.choice(("", "a", "b")), prefix=cached)
        sequence.append((request, views))
    return sequence


def replaced(views: Sequence[View], rng: random.Random) -> Iterator[ViewList]:
    """Yield a worker's own list, each time with another view replaced."""
    kept = ViewList(views)
    for _ in range(6):
        place, requests, prefill_tokens = rng.randrange(len(kept)), rng.randrange(9), rng.randrange(999)
        kept.columns.replace(place, replace(kept[place], requests=requests, prefill_tokens=prefill_tokens))
        yield kept


seeds = st.integers(0, 2**32)
EVERY = (*POLICIES, "power_of_two:lmetric", "power_of_two:peak_ewma")
few = settings(max_examples=30)
"""An example is a sequence of fleets: there are many policies, and each is asked often."""
every_policy = pytest.mark.parametrize("name", EVERY)


@every_policy
@few
@given(seed=seeds)
def test_picks_one_of_those_it_is_shown(name: str, seed: int) -> None:
    policy = build(name, random.Random(1))
    for now_s, (request, views) in enumerate(asked(seed)):
        choice = policy.pick(request, views, float(now_s))
        assert any(choice is view for view in views)


@every_policy
@few
@given(seed=seeds)
def test_the_same_seed_makes_the_same_choices(name: str, seed: int) -> None:
    one, other = build(name, random.Random(seed)), build(name, random.Random(seed))
    for now_s, (request, views) in enumerate(asked(seed)):
        assert one.pick(request, views, float(now_s)) is other.pick(request, list(views), float(now_s))


@every_policy
@few
@given(seed=seeds)
def test_a_worker_s_own_list_whose_views_are_replaced_makes_the_same_choices(name: str, seed: int) -> None:
    one, other, rng = build(name, random.Random(seed)), build(name, random.Random(seed)), random.Random(seed)
    for now_s, (request, views) in enumerate(asked(seed)):
        for kept in replaced(views, rng):
            assert one.pick(request, kept, float(now_s)) is other.pick(request, list(kept), float(now_s))


by_loads = pytest.mark.parametrize("name", [name for name in EVERY if hasattr(build(name, random.Random(0)), "loads")])


@by_loads
@few
@given(seed=seeds)
def test_loads_of_many_are_those_of_each_alone(name: str, seed: int) -> None:
    policy, rng = build(name, random.Random(1)), random.Random(seed)
    assert isinstance(policy, LoadPolicy)
    for now_s, (request, views) in enumerate(asked(seed)):
        for kept in replaced(views, rng):
            loads: Sequence[float] = getattr(policy, "loads")(request, kept, float(now_s))  # noqa: B009
            assert list(loads) == [policy.load(request, view, float(now_s)) for view in kept]


by_load = pytest.mark.parametrize("name", [name for name in EVERY if hasattr(build(name, random.Random(0)), "load")])


@by_load
@few
@given(seed=seeds)
def test_never_keeps_the_busier_of_two(name: str, seed: int) -> None:
    policy = build(name, random.Random(0))
    assert isinstance(policy, LoadPolicy)
    for request, views in asked(seed):
        without_cache = replace(request, prefix=None)
        two = views[:2]
        loads = {view.id: policy.load(without_cache, view, 0.0) for view in two}
        kept = policy.pick(without_cache, two, 0.0)
        assert isinstance(kept, View)
        assert loads[kept.id] == min(loads.values())


@by_load
@few
@given(seed=seeds)
def test_to_ask_for_a_load_changes_nothing(name: str, seed: int) -> None:
    one, other = build(name, random.Random(3)), build(name, random.Random(3))
    assert isinstance(one, LoadPolicy)
    for request, views in asked(seed):
        assert [one.load(request, view, 0.0) for view in views] == [one.load(request, view, 0.0) for view in views]
        assert one.pick(request, views, 0.0) is other.pick(request, views, 0.0)


class Gateways:
    """Some that share the replicas and know nothing of each other."""

    def __init__(self, name: str) -> None:
        self._rng = random.Random(0)
        self._gateways = [Deciding(policy=build(name, random.Random(seed))) for seed in range(GATEWAYS)]
        self._leases: list[Lease] = []

    def share(self, replicas: range) -> None:
        """Send requests to these replicas, and see that none gets more than twice its share.

        Twice, because a choice of two at random is within that for up to about 1,600 replicas (Finagle's
        LoadDistributionTest, which has the same four scenarios), and a plain random one is for samples of this size.
        """
        rows = [row(f"{number:02}") for number in replicas]
        for gateway in self._gateways:
            gateway.apply(*rows)
        order = self._gateways * REQUESTS
        self._rng.shuffle(order)
        counts = Counter(self._send(gateway) for gateway in order)
        assert max(counts.values()) <= 2 * len(order) / len(replicas)

    def _send(self, gateway: Deciding) -> str:
        lease = gateway.dispatcher.dispatch(facts(prompt_tokens=1_000), 0.0)
        assert isinstance(lease, Lease)
        self._leases.append(lease)
        while len(self._leases) > IN_FLIGHT:
            self._leases.pop(self._rng.randrange(len(self._leases))).release()
        return lease.replica_id


@every_policy
def test_no_replica_gets_over_twice_its_share_when_gateways_are_deployed(name: str) -> None:
    for _ in range(3):
        Gateways(name).share(range(10))


@every_policy
def test_no_replica_gets_over_twice_its_share_when_replicas_are_deployed(name: str) -> None:
    gateways = Gateways(name)
    for replicas in (range(10), range(5, 15), range(10, 20)):
        gateways.share(replicas)


@every_policy
def test_no_replica_gets_over_twice_its_share_when_the_fleet_shrinks(name: str) -> None:
    gateways = Gateways(name)
    for replicas in (range(10), range(5)):
        gateways.share(replicas)


@every_policy
def test_no_replica_gets_over_twice_its_share_when_the_fleet_grows(name: str) -> None:
    gateways = Gateways(name)
    for replicas in (range(10), range(15)):
        gateways.share(replicas)


@every_policy
def test_gateways_that_start_together_do_not_begin_with_the_same_replica(name: str) -> None:
    views = [view(f"{number:02}") for number in range(10)]
    firsts = [build(name, random.Random(seed)).pick(facts(), views, 0.0) for seed in range(20)]
    assert len({view.id for view in firsts if isinstance(view, View)}) > 5


@pytest.mark.parametrize("name", POLICIES)
def test_is_small_enough_to_be_read_at_once(name: str) -> None:
    module = import_module(POLICIES[name].partition(":")[0])
    assert len(inspect.getsource(module).splitlines()) <= 60
