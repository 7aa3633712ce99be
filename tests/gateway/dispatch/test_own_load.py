"""A gateway's own load report: its fleet, added up."""

import random

from msgspec.structs import astuple

from gateway.dispatch.dispatch import Dispatcher
from gateway.dispatch.own_load import FRESH_S, OwnLoad
from gateway.errors import Refused
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Lease, Ledger
from gateway.fleet.shared_counters import Cell, SharedCounters, SharedTally
from gateway.policies import build
from gateway.types import Facts, LoadReport, ReplicaRecord, ReplicaState, Snapshot, Wait
from tests.gateway.fleets import facts, row, shared_rows

READY, STARTING, EJECTED = ReplicaState.READY, ReplicaState.STARTING, ReplicaState.EJECTED
ID = "123456789abcd" + 19 * "0"
OUTER = b"outer"


def load(queue: float = 0, running: float = 0, kv: float = 0.0, tokens: float = 0, *, boot_id: int = 7) -> LoadReport:
    return LoadReport(queue, running, kv, tokens, boot_id, 0, 99.0, kv, 2.0, 0.5, kv, kv, 1, 1)


class Gateway:
    """One worker, and control beside it, over the same memory."""

    def __init__(self, *records: ReplicaRecord) -> None:
        self.rows = shared_rows(1)
        counters = SharedCounters(self.rows, 0, is_ordered=True)
        self.fleet = Fleet(counters)
        self.ledger = Ledger(self.fleet, counters)
        policy = build("round_robin", random.Random(0))
        self.dispatcher = Dispatcher(self.fleet, self.ledger, policy, lambda: 1.0)
        self.worker = OwnLoad(self.fleet, self.rows, 0, ID)
        self.control = OwnLoad(Fleet(SharedCounters(self.rows, 1, is_ordered=True)), self.rows, 1, ID)
        self.snapshot = Snapshot(1, tuple(record._replace(slot=slot) for slot, record in enumerate(records)))
        for slot in range(len(records)):
            self.rows.begin(slot)
        self.fleet.apply(self.snapshot)

    def reports(self, now_s: float) -> tuple[LoadReport, LoadReport]:
        """As a worker tells it, and as control does."""
        self.control.follow(self.snapshot)
        return self.worker.report(OUTER, now_s), self.control.report(OUTER, now_s)

    def take(self, asked: Facts, now_s: float) -> Lease | Wait | Refused:
        """One request from the gateway in front."""
        self.worker.received(OUTER)
        return self.dispatcher.dispatch(asked, now_s)


def test_is_the_sum_of_queues_and_the_mean_of_shares_over_ready_replicas() -> None:
    gateway = Gateway(
        row("a")._replace(load=load(3, 2, 0.5, 900)),
        row("b")._replace(load=load(1, 4, 0.25, 100)),
        row("c", STARTING)._replace(load=load(50, 50, 1.0, 5_000)),
    )
    for report in gateway.reports(100.0):
        assert astuple(report)[:7] == (4, 6, 0.375, 1_000, 0x123456789ABCD, 0, 100.0)
        assert (report.utilization, report.requests_per_s, report.errors_per_s) == (0.375, 4.0, 1.0)
        assert (report.gpu_utilization, report.gpu_memory_utilization, report.ready_replicas) == (0.375, 0.375, 2)
        # One bad GPU among many replicas says little against all of them.
        assert (report.gpus_throttled, report.gpu_faults) == (0, 0)


def test_shows_each_request_that_it_counts_as_received_as_one_that_waits_or_runs() -> None:
    gateway = Gateway(row("a")._replace(load=load(running=2)), row("b"))
    for sent in range(1, 9):
        gateway.take(facts(prompt_tokens=100), 100.0 + sent)
        for report in gateway.reports(100.0 + sent):
            assert report.received_requests == sent
            # `a` runs two of somebody else's; of `b` nothing is known but what was sent there.
            assert report.queue_depth + report.running_requests == sent + 2
            assert report.uncached_waiting_tokens == 100 * sent


def test_requests_that_wait_for_a_replica_wait() -> None:
    gateway = Gateway(row("a")._replace(load=load(queue=1)))
    SharedTally(gateway.rows, 0, Cell.PARKED_REQUESTS).set(5)
    assert [report.queue_depth for report in gateway.reports(100.0)] == [6, 6]


def test_where_none_is_ready_those_count_that_panic_uses() -> None:
    gateway = Gateway(row("a", EJECTED)._replace(load=load(2)), row("b", STARTING)._replace(load=load(9)))
    for report in gateway.reports(100.0):
        assert (report.queue_depth, report.ready_replicas) == (2, 1)
    nobody = Gateway(row("b", STARTING))
    assert astuple(nobody.worker.report(OUTER, 100.0))[:4] == (0, 0, 0, 0)


def test_is_added_up_now_and_then_and_stays_true_to_its_instant() -> None:
    gateway = Gateway(row("a")._replace(load=load()))
    before = gateway.worker.report(OUTER, 100.0)
    gateway.take(facts(), 100.0)
    assert gateway.worker.report(OUTER, 100.0 + FRESH_S / 2) is before
    after = gateway.worker.report(OUTER, 100.0 + 2 * FRESH_S)
    assert (after.queue_depth, after.received_requests) == (1, 1)
    assert gateway.worker.report(b"another", 100.0 + 2 * FRESH_S).received_requests == 0


def test_gateways_without_number_cost_bounded_memory() -> None:
    gateway = Gateway(row("a"))
    for number in range(1_000):
        gateway.worker.report(b"%d" % number, 100.0)
    assert "1000" not in repr(gateway.worker)
    assert int(repr(gateway.worker).split()[2]) <= 256
