import pytest
from msgspec.structs import replace

from gateway.policies.waiting import FRESH_S, STALE_S, waiting_requests
from gateway.types import LoadReport
from tests.gateway.fleets import view

REPORT = LoadReport(4.0, 8.0, 0.5, 0.0, 7, 12, received_at=100.0)
REPORTED = replace(view("a", requests=20), load=REPORT, unseen_requests=2)


@pytest.mark.parametrize(
    ("age_s", "waiting"),
    [(0.0, 6.0), (FRESH_S, 6.0), ((FRESH_S + STALE_S) / 2, 13.0), (STALE_S, 20.0), (1_000.0, 20.0)],
)
def test_a_report_counts_with_what_it_had_not_seen_and_less_the_older_it_is(age_s: float, waiting: float) -> None:
    assert waiting_requests(REPORTED, 100.0 + age_s) == pytest.approx(waiting)


def test_without_a_report_only_the_gateways_own_count_is_known() -> None:
    assert waiting_requests(view("a", requests=3), 100.0) == 3
