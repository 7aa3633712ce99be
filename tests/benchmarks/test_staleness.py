from benchmarks.staleness.simulation import Load, Simulation, percentile

LOAD = Load(requests=60, replicas=2)


def test_every_request_gets_its_first_token_and_the_same_seed_gives_the_same_times() -> None:
    first, second = (Simulation("queue_depth", 0.1, LOAD).run() for _ in range(2))
    assert len(first) == LOAD.requests
    assert first == second
    assert min(first) > 0


def test_a_policy_that_reads_no_reports_does_not_care_how_old_they_are() -> None:
    fresh, stale = (Simulation("least_connection", staleness_s, LOAD).run() for staleness_s in (0.0, 1.0))
    assert fresh == stale


def test_takes_percentiles() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 3.0, 4.0]
