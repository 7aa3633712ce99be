from hypothesis import given
from hypothesis import strategies as st

from gateway.fleet.unseen import Unseen
from gateway.types import LoadReport
from tests.gateway.fleets import Deciding, facts, row

OURS, FOREIGN = 7, 0


def report(received_requests: int, at: float = 0.0, boot_id: int = OURS) -> LoadReport:
    return LoadReport(0.0, 0.0, 0.0, 0.0, boot_id, received_requests, at)


def test_counts_nothing_before_the_first_report() -> None:
    assert Unseen().requests(5, in_flight=5) == 0


def test_adds_exactly_what_the_replica_had_not_received() -> None:
    unseen = Unseen()
    unseen.reported(report(3), sent_requests=5)
    assert unseen.requests(5, in_flight=5) == 2
    assert unseen.requests(9, in_flight=9) == 6
    unseen.reported(report(9, at=1.0), sent_requests=9)
    assert unseen.requests(9, in_flight=9) == 0


def test_what_is_not_in_flight_is_not_waiting_there() -> None:
    unseen = Unseen()
    unseen.reported(report(3), sent_requests=5)
    assert unseen.requests(9, in_flight=1) == 1


def test_a_replica_that_counts_nothing_has_seen_what_was_sent_before_it_spoke() -> None:
    unseen = Unseen()
    unseen.reported(report(0, boot_id=FOREIGN), sent_requests=5)
    assert unseen.requests(5, in_flight=5) == 0
    assert unseen.requests(7, in_flight=7) == 2


def test_a_request_that_never_arrives_is_forgotten_within_two_periods() -> None:
    unseen = Unseen()
    lost, received, seen = 3, 10, list[int]()
    for second in range(25):
        received += 5
        unseen.reported(report(received, at=float(second)), sent_requests=received + lost)
        seen.append(unseen.requests(received + lost, in_flight=20))
    assert seen[0] == lost
    assert seen[21:] == [0, 0, 0, 0]


def test_a_worker_that_forgot_what_it_sent_costs_nothing() -> None:
    unseen = Unseen()
    unseen.reported(report(1_000), sent_requests=1_000)
    unseen.reported(report(1_001, at=1.0), sent_requests=400)
    assert unseen.requests(400, in_flight=9) == 0
    assert unseen.requests(402, in_flight=9) == 2


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_is_exact_where_every_request_arrives(turns: list[tuple[int, bool]]) -> None:
    """Each turn sends some; at some the replica, which has received all until then, is heard."""
    unseen, sent, received, at = Unseen(), 0, None, 0.0
    for more, is_heard in turns:
        sent += more
        at += 0.1
        if is_heard:
            received = sent
            unseen.reported(report(received, at), sent)
        assert unseen.requests(sent, in_flight=sent) == (0 if received is None else sent - received)


def test_a_view_tells_policies() -> None:
    deciding = Deciding(row("a"))
    for _ in range(3):
        deciding.ledger.grant(deciding.fleet.views(facts())[0], facts(), "a:8000", 0.0)
    assert deciding.fleet.views(facts())[0].unseen_requests == 0
    deciding.fleet.reported("a", 1, report(1))
    assert deciding.fleet.views(facts())[0].unseen_requests == 2


def test_the_newest_report_of_this_life_counts_wherever_it_comes_from() -> None:
    deciding = Deciding(row("a"))
    deciding.fleet.reported("a", 1, report(5, at=2.0))
    for late in (report(4, at=1.0), report(9, at=3.0, boot_id=8)):
        deciding.fleet.reported("a", 1, late)
    deciding.fleet.reported("a", 2, report(9, at=3.0))
    deciding.apply(row("a")._replace(load=report(4, at=1.0)))
    assert deciding.fleet.views(facts())[0].load == report(5, at=2.0)
    deciding.apply(row("a")._replace(load=report(6, at=4.0)))
    assert deciding.fleet.views(facts())[0].load == report(6, at=4.0)
