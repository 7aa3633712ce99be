"""Everything that decides in a worker, driven by events in any order: few with Hypothesis, which finds the shortest
way to a failure, and many with plain dice."""

import random
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.fleet.leases import Lease
from gateway.policies import POLICIES
from gateway.types import Facts, ReplicaState
from tests.gateway.dispatch.model import IDS, Model
from tests.gateway.fleets import facts

# What is common stands first and often, or most runs would be of fleets that can serve nothing.
STATES = (*(ReplicaState.READY,) * 8, *ReplicaState)
MODELS = (*(frozenset("x"),) * 4, frozenset("xy"), frozenset("y"), frozenset[str](), None)
RESTARTED = (False, False, True)
WANTED = (*("x",) * 8, "y", "", None, "unknown")
PRIORITIES = (0, 0, -1, 1)
EXCLUDED = (*(frozenset[str](),) * 6, *(frozenset((replica_id,)) for replica_id in IDS), frozenset(IDS))
TIMES_S = (0.1, 5.0)

ids = st.sampled_from(IDS)
requests = st.builds(
    facts, st.sampled_from(WANTED), prompt_tokens=st.integers(0, 1_000), priority=st.sampled_from(PRIORITIES)
)


class Worker(RuleBasedStateMachine):
    model: Model

    @initialize(policy=st.sampled_from(sorted(POLICIES)), limit=st.integers(1, 3), max_parked=st.sampled_from((99, 3)))
    def start(self, policy: str, limit: int, max_parked: int) -> None:
        self.model = Model(policy, limit, max_parked)

    @rule(
        replica_id=ids,
        state=st.sampled_from(STATES),
        models=st.sampled_from(MODELS),
        restarted=st.sampled_from(RESTARTED),
    )
    def replica_changes(
        self, replica_id: str, state: ReplicaState, models: frozenset[str] | None, restarted: bool
    ) -> None:
        self.model.change(replica_id, state, models, restarted)

    @rule(replica_id=ids)
    def replica_is_removed(self, replica_id: str) -> None:
        self.model.remove(replica_id)

    @rule(replica_id=ids, is_reachable=st.booleans())
    def connection_changes(self, replica_id: str, is_reachable: bool) -> None:
        self.model.set_reachable(replica_id, is_reachable)

    @rule(burst=st.lists(st.tuples(requests, st.sampled_from(EXCLUDED)), min_size=1, max_size=6))
    def requests_arrive(self, burst: list[tuple[Facts, frozenset[str]]]) -> None:
        for wish, excluded in burst:
            self.model.admit(wish, excluded)

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def agent_leaves(self, data: st.DataObject) -> None:
        self.model.leave(data.draw(st.sampled_from(self.model.waiting)))

    @precondition(lambda self: self.model.held)
    @rule(data=st.data())
    def first_token_comes(self, data: st.DataObject) -> None:
        self.model.first_token(data.draw(st.sampled_from(self.model.held)))

    @precondition(lambda self: self.model.held)
    @rule(data=st.data())
    def streams_end(self, data: st.DataObject) -> None:
        for lease in data.draw(st.lists(st.sampled_from(self.model.held), min_size=1, max_size=4, unique=True)):
            self.model.release(lease)

    @precondition(lambda self: self.model.is_turn_due)
    @rule()
    def loop_turns(self) -> None:
        self.model.turn()

    @rule(time_s=st.sampled_from(TIMES_S))
    def time_passes(self, time_s: float) -> None:
        self.model.pass_time(time_s)

    @invariant()
    def all_is_well(self) -> None:
        self.model.check()

    def teardown(self) -> None:
        self.model.finish()


TestWorker = Worker.TestCase
TestWorker.settings = settings(stateful_step_count=20)


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_is_lost_or_counted_twice_in_many_events(policy: str) -> None:
    rng = random.Random(f"many events {policy}")
    model = Model(policy, requests=3, max_parked=20)
    happenings: tuple[tuple[int, Callable[[], None]], ...] = (
        (12, lambda: model.admit(any_request(rng), rng.choice(EXCLUDED))),
        (8, lambda: model.release(rng.choice(model.held)) if model.held else None),
        (5, lambda: model.first_token(rng.choice(model.held)) if model.held else None),
        (5, lambda: model.turn() if model.is_turn_due else None),
        (2, lambda: model.leave(rng.choice(model.waiting)) if model.waiting else None),
        (2, lambda: model.set_reachable(rng.choice(IDS), rng.random() < 0.7)),
        (2, lambda: model.change(rng.choice(IDS), rng.choice(STATES), rng.choice(MODELS), rng.choice(RESTARTED))),
        (1, lambda: model.remove(rng.choice(IDS))),
        (1, lambda: model.pass_time(rng.choice(TIMES_S))),
    )
    weights = [weight for weight, _ in happenings]
    for _, happens in rng.choices(happenings, weights, k=3_000):
        happens()
        model.check()
    assert sum(request.parked is not None and isinstance(request.ends[0], Lease) for request in model.ended) > 100
    model.finish()


def any_request(rng: random.Random) -> Facts:
    return facts(rng.choice(WANTED), prompt_tokens=rng.randrange(1_000), priority=rng.choice(PRIORITIES))
