from benchmarks.workers_cost import measure


def test_measures_what_other_workers_cost() -> None:
    assert measure(3, replicas=2, rate=1_000, looks=3) > 0
