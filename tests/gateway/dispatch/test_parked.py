from weakref import WeakSet

from hypothesis import given
from hypothesis import strategies as st

from gateway.dispatch.parked import Lines, Parked, key_of
from gateway.errors import Reason, Refused
from tests.gateway.fleets import facts

REFUSAL = Refused(Reason.OVERLOADED, "busy")


def park(arrival: int, model: str, priority: int) -> Parked:
    return Parked(facts(model, priority=priority), frozenset(), lambda end: None, arrival, 0.0, REFUSAL)


def order(parked: Parked) -> tuple[int, int]:
    return parked.facts.priority, parked.arrival


newcomers = st.tuples(st.sampled_from(("x", "y")), st.integers(-2, 2))
leavers = st.floats(0, 1, exclude_max=True)


@given(st.lists(newcomers | leavers, max_size=60), st.sampled_from(("", "x", "y")))
def test_lines_behave_like_a_sorted_list(steps: list[tuple[str, int] | float], stopped: str) -> None:
    lines, model = Lines(), list[Parked]()
    for arrival, step in enumerate(steps):
        if isinstance(step, tuple):
            parked = park(arrival, *step)
            lines.push(parked)
            model.append(parked)
        elif model:
            lines.leave(model.pop(int(step * len(model))))
        going = [parked for parked in model if parked.facts.model != stopped]
        assert lines.first({key_of(facts(stopped), ())}) is (min(going, key=order) if going else None)
        assert len(lines) == len(model)
        of_x = [parked.facts.priority for parked in model if parked.facts.model == "x"]
        assert lines.has_before(key_of(facts("x"), ()), 0) == (bool(of_x) and min(of_x) <= 0)


class Agent:
    """Whom a parked request keeps alive."""

    def granted(self, end: object) -> None: ...


def crowd(lines: Lines, size: int) -> tuple[list[Parked], WeakSet[Agent]]:
    agents = [Agent() for _ in range(size)]
    parked = [Parked(facts(), frozenset(), agent.granted, at, 0.0, REFUSAL) for at, agent in enumerate(agents)]
    for one in parked:
        lines.push(one)
    return parked, WeakSet(agents)


def test_who_left_is_not_held_much_longer_than_the_rest() -> None:
    lines = Lines()
    parked, agents = crowd(lines, 1_000)
    while len(parked) > 1:
        lines.leave(parked.pop())
    assert len(agents) <= 2
