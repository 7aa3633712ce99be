"""What leases teach: the index of prefixes, and the pace of replicas."""

import random

from msgspec.structs import replace

from gateway.dispatch.prefix_index.prompts import PrefixIndex
from gateway.fleet.leases import Lease
from gateway.types import Facts, Usage
from tests.gateway.fleets import MODEL, Deciding, facts, row

IDS = random.Random(1).randbytes(4 * 1_000)


def world() -> tuple[Deciding, PrefixIndex]:
    index = PrefixIndex(b"secret", 10_000, lambda replica_id, incarnation, blocks: None)
    index.open("a", 1, 0)
    return Deciding(row("a")), index


def test_the_index_follows_the_fleet() -> None:
    deciding, index = world()
    index.follow(deciding.apply(row("a"), row("b")._replace(kv_cache_tokens=128)), deciding.fleet)
    index.of_ids((MODEL, "", ""), IDS).read("b", 1)
    assert index.of_ids((MODEL, "", ""), IDS).cached_tokens("b") == 128
    index.follow(deciding.apply(row("a"), row("b", incarnation=2)), deciding.fleet)
    assert index.of_ids((MODEL, "", ""), IDS).cached_tokens("b") == 0
    index.of_ids((MODEL, "", ""), IDS).read("b", 2)
    assert index.of_ids((MODEL, "", ""), IDS).cached_tokens("b") == 960
    index.follow(deciding.apply(row("a")), deciding.fleet)
    assert len(index.holders) == 0


def asking(index: PrefixIndex) -> Facts:
    prompt = index.of_ids((MODEL, "", ""), IDS)
    return replace(facts(prompt_tokens=prompt.tokens), prefix=prompt)


def leased(deciding: Deciding, request: Facts, now_s: float = 0.0) -> Lease:
    lease = deciding.dispatcher.dispatch(request, now_s)
    assert isinstance(lease, Lease)
    return lease


def test_a_lease_counts_the_tokens_that_are_not_cached() -> None:
    deciding, index = world()
    first = leased(deciding, asking(index))
    assert deciding.in_flight("a") == (1, 1_000, 1_000)
    second = leased(deciding, asking(index))
    assert deciding.in_flight("a") == (2, 1_040, 2_000)
    assert (first.cached_tokens, second.cached_tokens, second.ahead_tokens) == (0, 960, 1_000)
    first.first_token(1.0)
    second.first_token(1.0)
    first.release()
    second.release()
    assert deciding.in_flight("a") == (0, 0, 0)
    assert deciding.ledger.audit() == 0


def test_usage_corrects_what_a_replica_is_thought_to_hold() -> None:
    deciding, index = world()
    leased(deciding, asking(index)).release()
    lease = leased(deciding, asking(index))
    lease.used(Usage(1_000, 0, 10), 1.0)
    assert index.missed == 1


def test_views_tell_the_pace_of_a_replica() -> None:
    deciding, index = world()
    request = asking(index)
    lease = leased(deciding, request, now_s=10.0)
    (view,) = deciding.fleet.views(request)
    assert view.pace is None
    lease.first_token(10.5)
    lease.first_token(11.0)
    lease.used(Usage(1_000, 0, 200), 12.0)
    lease.release()
    lease.first_token(13.0)
    (view,) = deciding.fleet.views(request)
    assert view.pace is not None
    assert (view.pace.first_token_s, view.pace.output_tokens, view.pace.tokens_per_s) == (0.5, 200, 600)


def test_another_life_has_a_pace_of_its_own() -> None:
    deciding, index = world()
    request = asking(index)
    lease = leased(deciding, request)
    deciding.apply(row("a", incarnation=2))
    lease.first_token(1.0)
    (view,) = deciding.fleet.views(request)
    assert view.pace is None
    lease.release()
