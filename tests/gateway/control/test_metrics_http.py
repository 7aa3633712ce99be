import socket
from collections.abc import Sequence
from importlib import import_module

import aiohttp
import pytest

from gateway.channel.messages import Outcome, OutcomeKind
from gateway.config import ReplicaSettings
from gateway.control.exposition import expose
from gateway.control.fleet_owner import FleetOwner
from gateway.control.health import Health
from gateway.control.metrics import ControlMetrics
from gateway.control.metrics_http import running_metrics
from gateway.errors import SettingsError
from gateway.metrics import Family, Registry


def registry() -> Registry:
    registry = Registry()
    registry.counter("things_total", "Things.", "replica").child('a"\\\nb').add(3)
    registry.gauge("held", "Held.").child().set(-1.5)
    histogram = registry.histogram("taken_seconds", "Time.", (0.5, 2.0), "replica").child("a")
    for seconds in (0.25, 1.0, 1.5, 4.0):
        histogram.observe(seconds)
    return registry


EXPECTED = {
    ("things_total", ("replica", 'a"\\\nb')): 3.0,
    ("held",): -1.5,
    ("taken_seconds_bucket", ("le", "0.5"), ("replica", "a")): 1.0,
    ("taken_seconds_bucket", ("le", "2.0"), ("replica", "a")): 3.0,
    ("taken_seconds_bucket", ("le", "+Inf"), ("replica", "a")): 4.0,
    ("taken_seconds_count", ("replica", "a")): 4.0,
    ("taken_seconds_sum", ("replica", "a")): 6.75,
}


@pytest.mark.parametrize(
    ("accept", "content_type", "parser"),
    [
        ("", "text/plain", "prometheus_client.parser"),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text",
            "prometheus_client.openmetrics.parser",
        ),
    ],
)
def test_a_scraper_reads_what_was_counted(accept: str, content_type: str, parser: str) -> None:
    body, told = expose(registry().dump(), accept)
    assert told.startswith(content_type)
    parsed = import_module(parser).text_string_to_metric_families(body.decode())
    samples = [sample for family in parsed for sample in family.samples]
    assert {(s.name, *sorted(s.labels.items())): s.value for s in samples} == EXPECTED


async def families() -> Sequence[Family]:
    return registry().dump()


async def test_scrapers_and_probes_get_their_answers() -> None:
    health = Health()
    async with running_metrics("127.0.0.1:0", families, health) as address, aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(f"http://{address}{path}") as response:
                return response.status, await response.text()

        assert "things_total" in (await get("/metrics"))[1]
        assert await get("/health") == (200, "up\n")
        assert await get("/health/ready") == (503, "not ready\n")
        health.set_ready(True)
        assert await get("/health/ready") == (200, "ready\n")
        health.drain()
        assert await get("/health/ready") == (503, "not ready\n")
        assert await get("/health") == (200, "up\n")


async def test_a_port_in_use_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match=f"^metrics_listen: cannot listen on {address}: [^\n]+$"):
            async with running_metrics(address, families, Health()):
                pass


def test_the_state_of_each_replica_is_shown_and_of_no_other() -> None:
    owner = FleetOwner(lambda _: None, lambda: 0.0)
    metrics = ControlMetrics(owner)
    owner.assign([ReplicaSettings(address="a:1"), ReplicaSettings(address="b:1")])
    assert states(metrics) == {("a:1", "starting"), ("b:1", "starting")}
    owner.connected("a:1")
    owner.serving("a:1", [])
    owner.assign([ReplicaSettings(address="a:1")])
    assert states(metrics) == {("a:1", "ready")}
    metrics.heard(Outcome("a:1", 1, OutcomeKind.FAILED))
    (outcomes,) = (family for family in metrics.families() if family.name == "inference_gateway_outcomes_total")
    assert [(sample.labels, sample.values) for sample in outcomes.samples] == [(("a:1", "failed"), [1.0])]


def states(metrics: ControlMetrics) -> set[tuple[str, ...]]:
    (family,) = (family for family in metrics.families() if family.name == "inference_gateway_replica_state")
    return {sample.labels for sample in family.samples if sample.values == [1.0]}
