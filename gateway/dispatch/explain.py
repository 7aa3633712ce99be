"""Why a request goes where it goes: a policy's decision, taken once more on a copy of it."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from math import isnan
from random import Random
from typing import NamedTuple

from gateway.dispatch.prediction import first_token_times
from gateway.errors import Refused
from gateway.policies.base import LoadPolicy, NarrowingPolicy, OuterPolicy, Policy
from gateway.policies.finding import name_of
from gateway.types import Considered, Explanation, Facts, ReplicaState, View, Wait

__all__ = ["explain"]

_ORDER = ("picked", "passed_over", "left_out", "no_candidate")


def explain(
    policy: Policy,
    facts: Facts,
    views: Sequence[View],
    others: Sequence[tuple[View, str]],
    now_s: float,
) -> Explanation:
    """Return what `policy.pick(facts, views, now_s)` would do next, and why. The policy and its dice stay as they are.

    `others` are no candidates, each with the reason. `views` may be empty. A policy that fails is explained as such.
    """
    try:
        decision = _decide(policy, facts, views, now_s) if views else _Decision("refused", "there is no candidate")
    except Exception as error:  # noqa: BLE001 (a policy is anybody's code)
        decision = _Decision("failed", f"{type(error).__name__}: {error}")
    considered = [
        *_considered(facts, views, [_verdict(view, decision) for view in views], decision.loads, now_s),
        *_considered(facts, [view for view, _ in others], [("no_candidate", why) for _, why in others], {}, now_s),
    ]
    considered.sort(key=_rank)
    picked = decision.choice.id if decision.choice else ""
    name = ":".join(name_of(layer) for layer in _layers(policy))
    compares = isinstance([*_layers(policy)][-1], LoadPolicy)
    return Explanation(
        facts.route.name, name, compares, decision.outcome, decision.reason, picked, facts.prompt_tokens, considered
    )


class _Decision(NamedTuple):
    outcome: str
    reason: str = ""
    choice: View | None = None
    loads: Mapping[str, float] = {}
    left_out: Mapping[str, str] = {}


def _decide(policy: Policy, facts: Facts, views: Sequence[View], now_s: float) -> _Decision:
    """Raises what a policy may raise."""
    # Three copies: each question may throw dice, and all have to be asked of the same state.
    left_out = _left_out(_copy(policy), facts, views, now_s)
    *_, innermost = _layers(_copy(policy))
    loads: Mapping[str, float] = {}
    if isinstance(innermost, LoadPolicy):
        loads = {view.id: innermost.load(facts, view, now_s) for view in views}
    choice = _copy(policy).pick(facts, list(views), now_s)
    outcome, reason = _outcome(choice, views)
    picked = choice if outcome == "picked" and isinstance(choice, View) else None
    return _Decision(outcome, reason, picked, loads, left_out)


def _copy(policy: Policy) -> Policy:
    """Dice are copied by their state: deepcopy would look at each of its 625 numbers, which takes a millisecond."""
    copies: dict[int, object] = {}
    for layer in _layers(policy):
        for value in getattr(layer, "__dict__", {}).values():
            if type(value) is Random:
                copies[id(value)] = dice = Random(0)
                dice.setstate(value.getstate())
    return deepcopy(policy, copies)


def _outcome(choice: object, views: Sequence[View]) -> tuple[str, str]:
    match choice:
        case View():
            is_candidate = any(choice is view for view in views)
            return ("picked", "") if is_candidate else ("failed", "it picked what is not a candidate")
        case Wait():
            return "waits", choice.reason
        case Refused():
            return "refused", choice.message
        case _:
            return "failed", "it picked nothing"


def _left_out(policy: Policy, facts: Facts, views: Sequence[View], now_s: float) -> Mapping[str, str]:
    """Return why, by replica, for those that the policy or an inner one does not compare."""
    left_out: dict[str, str] = {}
    for layer in _layers(policy):
        if isinstance(layer, NarrowingPolicy):
            kept = layer.narrow(facts, list(views), now_s)
            ids = {view.id for view in kept}
            left_out.update((view.id, layer.left_out) for view in views if view.id not in ids)
            views = kept
    return left_out


def _layers(policy: Policy) -> Iterator[Policy]:
    """Yield the policy, and those inside it."""
    yield policy
    while isinstance(policy, OuterPolicy):
        policy = policy.inner
        yield policy


def _verdict(view: View, decision: _Decision) -> tuple[str, str]:
    choice, loads = decision.choice, decision.loads
    if view is choice:
        return "picked", _why_picked(view, decision)
    if view.id in decision.left_out:
        return "left_out", decision.left_out[view.id]
    if choice is None:
        return "passed_over", "none was picked"
    if not loads:
        return "passed_over", "another was picked"
    more = loads[view.id] - loads[choice.id]
    return (
        "passed_over",
        "more load" if more > 0 else "as much load, another was drawn" if more == 0 else "not preferred",
    )


def _why_picked(view: View, decision: _Decision) -> str:
    loads = [load for replica_id, load in decision.loads.items() if replica_id not in decision.left_out]
    if not loads:
        return "by the policy's own order"
    if decision.loads[view.id] > min(loads):
        return "preferred, though not the least load"
    equals = loads.count(min(loads))
    return "least load" if equals == 1 else f"least load, drawn among {equals}"


def _considered(
    facts: Facts,
    views: Sequence[View],
    verdicts: Sequence[tuple[str, str]],
    loads: Mapping[str, float],
    now_s: float,
) -> Iterator[Considered]:
    for view, (verdict, reason), wait_s in zip(views, verdicts, first_token_times(facts, views), strict=True):
        load = loads.get(view.id)
        if view.state is not ReplicaState.READY and verdict != "no_candidate":
            shown = f"{reason} ({view.state.name.lower()})"  # on probation, or used because too few are ready
        else:
            shown = reason
        yield Considered(
            replica_id=view.id,
            incarnation=view.incarnation,
            state=view.state.name.lower(),
            verdict=verdict,
            reason=shown,
            load=None if load is None or isnan(load) else load,
            report_age_s=now_s - view.load.received_at if view.load else None,
            requests=view.requests,
            prefill_tokens=view.prefill_tokens,
            expected_wait_s=wait_s,
            cached_tokens=facts.cached_tokens(view),
            weight=view.weight,
        )


def _rank(one: Considered) -> tuple[int, float, str]:
    return _ORDER.index(one.verdict), one.load if one.load is not None else one.expected_wait_s, one.replica_id
