"""What every policy must do, whatever it is for. A new line in POLICIES is tested here without being named."""

import inspect
import random
from collections import Counter
from collections.abc import Sequence
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.fleet.leases import Lease
from gateway.policies import POLICIES, build
from gateway.types import ReplicaState, View
from tests.gateway.fleets import Deciding, facts, row, view

GATEWAYS = 5
REQUESTS = 150
"""Of each gateway for each fleet."""
IN_FLIGHT = 40
"""Over all gateways."""


@st.composite
def fleets(draw: st.DrawFn) -> Sequence[View]:
    numbers = draw(st.sets(st.integers(0, 99), min_size=1, max_size=6))
    counts, weights = st.integers(0, 1_000), st.sampled_from((0.1, 1.0, 7.0))
    return [
        View(f"{number:02}", 1, ReplicaState.READY, draw(weights), None, draw(counts), draw(counts), draw(counts))
        for number in sorted(numbers)
    ]


every_policy = pytest.mark.parametrize("name", POLICIES)


@every_policy
@given(sequence=st.lists(fleets(), min_size=1, max_size=4))
def test_picks_one_of_those_it_is_shown(name: str, sequence: list[Sequence[View]]) -> None:
    policy = build(name, random.Random(1))
    for now_s, views in enumerate(sequence):
        choice = policy.pick(facts(), views, float(now_s))
        assert any(choice is view for view in views)


@every_policy
@given(sequence=st.lists(fleets(), min_size=1, max_size=4), seed=st.integers(0, 9))
def test_the_same_seed_makes_the_same_choices(name: str, sequence: list[Sequence[View]], seed: int) -> None:
    one, other = build(name, random.Random(seed)), build(name, random.Random(seed))
    for now_s, views in enumerate(sequence):
        assert one.pick(facts(), views, float(now_s)) is other.pick(facts(), list(views), float(now_s))


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
        lease = gateway.dispatcher.dispatch(facts(), 0.0)
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


@every_policy
def test_is_small_enough_to_be_read_at_once(name: str) -> None:
    module = import_module(POLICIES[name].partition(":")[0])
    assert len(inspect.getsource(module).splitlines()) <= 60


@pytest.mark.parametrize(
    ("name", "hint"),
    [("round-robin", "; did you mean round_robin?"), ("rondom", "; did you mean random?"), ("qwerty", "")],
)
def test_an_unknown_name_is_one_clear_line(name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as error:
        build(name, random.Random(0))
    assert str(error.value) == f"policy: {name!r} is none of {', '.join(POLICIES)}{hint}"
