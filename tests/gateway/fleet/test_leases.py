import pytest

from gateway.fleet.leases import Lease, LeaseError, LocalCounters
from tests.gateway.fleets import Deciding, facts, row


def grant(deciding: Deciding, prompt_tokens: int = 100) -> Lease:
    request = facts(prompt_tokens=prompt_tokens)
    return deciding.ledger.grant(deciding.fleet.views(request)[0], request, "a:8000", 0.0)


def test_counts_a_request_from_grant_to_release_and_its_prompt_as_uncached_until_the_first_token() -> None:
    deciding = Deciding(row("a"))
    lease = grant(deciding)
    assert deciding.in_flight("a") == (1, 100, 100)
    lease.first_token(0.0)
    assert deciding.in_flight("a") == (1, 0, 100)
    lease.first_token(0.0)
    assert deciding.in_flight("a") == (1, 0, 100)
    lease.release()
    assert deciding.in_flight("a") == (0, 0, 0)


def test_a_release_before_the_first_token_gives_everything_back() -> None:
    deciding = Deciding(row("a"))
    lease = grant(deciding)
    lease.release()
    lease.first_token(0.0)
    assert deciding.in_flight("a") == (0, 0, 0)


def test_says_how_many_leases_each_replica_has_over_its_incarnations() -> None:
    deciding = Deciding(row("a"))
    leases = [grant(deciding), grant(deciding)]
    deciding.apply(row("a", incarnation=2))
    leases.append(grant(deciding))
    assert deciding.ledger.held() == {"a": (3, 3 * leases[0].prefill_tokens)}
    leases[0].release()
    assert deciding.ledger.held() == {"a": (2, 2 * leases[1].prefill_tokens)}


def test_a_second_release_is_a_defect_and_counts_nothing() -> None:
    deciding = Deciding(row("a"))
    lease, other = grant(deciding), grant(deciding, 7)
    lease.release()
    with pytest.raises(LeaseError, match="released twice"):
        lease.release()
    assert deciding.in_flight("a") == (1, 7, 7)
    assert deciding.ledger.audit() == 0
    other.release()


def test_the_end_of_an_old_incarnations_lease_leaves_the_new_ones_counts_alone() -> None:
    deciding = Deciding(row("a"))
    old = grant(deciding)
    deciding.apply(row("a", incarnation=2))
    new = grant(deciding, 7)
    assert deciding.in_flight("a") == (1, 7, 7)
    old.first_token(0.0)
    old.release()
    assert deciding.in_flight("a") == (1, 7, 7)
    new.release()
    assert deciding.ledger.audit() == 0


def test_a_removed_replicas_leases_end_by_themselves_and_count_again_if_it_returns() -> None:
    deciding = Deciding(row("a"))
    lease = grant(deciding)
    deciding.apply()
    assert deciding.ledger.audit() == 0
    deciding.apply(row("a"))
    assert deciding.fleet.views(facts())[0].requests == 1
    lease.release()
    assert deciding.fleet.views(facts())[0].requests == 0


def test_does_not_grant_on_an_incarnation_that_is_no_more() -> None:
    deciding = Deciding(row("a"))
    old = deciding.fleet.views(facts())[0]
    deciding.apply(row("a", incarnation=2))
    with pytest.raises(LeaseError, match="a/1 is no more"):
        deciding.ledger.grant(old, facts(), "a:8000", 0.0)
    deciding.apply()
    with pytest.raises(LeaseError):
        deciding.ledger.grant(old, facts(), "a:8000", 0.0)


def test_the_audit_sees_every_difference_and_lets_none_cancel_out() -> None:
    deciding = Deciding(row("a"), row("b"))
    lease = grant(deciding)
    deciding.counters.add(lease.slot, 1, 0, 0)
    deciding.counters.add(deciding.counters.open(row("b")), -1, 5, 0)
    assert deciding.ledger.audit() == 7


def test_slots_of_lives_that_have_ended_are_used_again() -> None:
    counters = LocalCounters()
    for incarnation in range(1_000):
        slot = counters.open(row("a", incarnation=incarnation))
        counters.add(slot, 1, 1, 1)
        counters.close(slot)
        counters.add(slot, -1, -1, -1)
    assert len(list(counters.own())) == 1


def test_a_life_keeps_its_slot_while_anything_is_in_flight_in_it() -> None:
    counters = LocalCounters()
    slot = counters.open(row("a"))
    counters.add(slot, 1, 0, 0)
    counters.close(slot)
    assert counters.open(row("b")) != slot
    assert counters.open(row("a")) == slot
    counters.add(slot, -1, 0, 0)
    assert counters.open(row("a")) == slot


def test_counts_what_was_ever_sent_in_a_life() -> None:
    counters = LocalCounters()
    slot = counters.open(row("a"))
    for _ in range(3):
        counters.add(slot, 1, 5, 5)
        counters.add(slot, -1, -5, -5)
    assert counters.sent(slot) == 3
    counters.close(slot)
    assert counters.sent(counters.open(row("a", incarnation=2))) == 0
