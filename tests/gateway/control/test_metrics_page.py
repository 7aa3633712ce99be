"""docs/metrics.md names what there is, with its labels, and nothing else."""

import random
import re
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.config import Settings, TlsSettings
from gateway.control import metrics as control_metrics
from gateway.control.certificate_watch import CertificateWatch
from gateway.control.discovery import discovery
from gateway.control.fleet_owner import FleetOwner
from gateway.control.metrics import ControlMetrics
from gateway.control.reconfiguration import Reconfiguration
from gateway.dispatch.prefix_index.metrics import PrefixMetrics
from gateway.dispatch.shadow import Shadows
from gateway.instruments import Counter, Gauge, Histogram
from gateway.metrics import Metric, Registry
from gateway.relay.handshakes import Handshakes
from gateway.relay.metrics import RelayMetrics

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
NAME = re.compile(r"`([a-z_]+(?:\{[a-z_,]+\})?)`")
PREFIX = "inference_gateway_"

Child = TypeVar("Child", Counter, Gauge, Histogram)


class Noting(Registry):
    """Notes what is registered, whether or not anything is counted."""

    noted: set[str]

    def _register(self, metric: Metric[Child]) -> Metric[Child]:
        family = metric.dump()
        labels = f"{{{','.join(family.label_names)}}}" if family.label_names else ""
        self.noted.add(family.name.removeprefix(PREFIX) + labels)
        return super()._register(metric)


async def never(settings: Settings) -> None:
    raise AssertionError(settings)


def test_the_page_of_metrics_names_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    Noting.noted = noted = set[str]()
    registry, settings = Noting(), Settings()
    monkeypatch.setattr(control_metrics, "Registry", Noting)
    monkeypatch.setattr(discovery, "Registry", Noting)
    # A worker's.
    RelayMetrics(registry)
    PrefixMetrics(registry)
    Shadows(registry).use(settings, random.Random(0))
    Handshakes(1, registry, lambda: 0.0)
    # Control's.
    ControlMetrics(FleetOwner(lambda change: None, lambda: 0.0))
    discovery.Discovery(settings, lambda: 0.0)
    Reconfiguration(settings, lambda: settings, never, lambda old, new: None, registry)
    CertificateWatch(TlsSettings(), registry, lambda material: None, lambda: 0.0)
    text = PAGE.read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in NAME.findall(row)}
    assert named == noted
