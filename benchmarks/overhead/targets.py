"""What the project promises of its overhead, as ratios within one run, and whether a run holds it."""

from collections.abc import Iterator

from msgspec import Struct

from benchmarks.overhead.figures import Figures, Spread, spread
from benchmarks.overhead.shapes import TWICE

GATEWAY, COMPILED, GRPC_AIO, ENVOY, HAPROXY = "gateway", "gateway compiled", "grpc.aio", "Envoy", "HAProxy"
TWO_WORKERS = "gateway 2 workers"
STREAM_BYTES, WORKER_BYTES, CONTROL_BYTES = 12e3, 40e6, 80e6
DECISION_US = 20.0


class Target(Struct, frozen=True):
    what: str
    where: str
    """The shape's title, or empty."""
    measured: str
    limit: str
    is_met: bool | None
    """None: not measured."""


def targets(figures: Figures) -> list[Target]:
    return [*_cpu(figures), *_latency(figures), *_memory(figures), *_decision(figures)]


def _cpu(figures: Figures) -> Iterator[Target]:
    for shape in figures.shapes:
        unit = figures.run.units[shape]
        a_unit = f"an {unit}" if unit == "RPC" else f"a {unit}"
        yield _at_most(figures, shape, f"CPU {a_unit}, of Envoy's", (GATEWAY, ENVOY), 1.0)
        if unit == "RPC":
            yield _at_most(figures, shape, f"CPU {a_unit} compiled, of Envoy's", (COMPILED, ENVOY), 1.0)
    for shape in _message_shapes(figures):
        limit = 1.1 if shape == "paced" else 1.5
        yield _at_most(figures, shape, "CPU a message compiled, of HAProxy's", (COMPILED, HAPROXY), limit)
    yield from _below_grpc_aio(figures)
    for half, whole in TWICE.items():
        if half in figures.shapes and whole in figures.shapes:
            what = "CPU of two workers, of one with half the streams"
            yield _at_most(figures, whole, what, (TWO_WORKERS, GATEWAY), 1.1, half)


def _below_grpc_aio(figures: Figures) -> Iterator[Target]:
    for peer in (GATEWAY, COMPILED):
        for shape in _message_shapes(figures):
            times = 3.5 if shape == "paced" else 6.0
            ratio = figures.ratio(shape, GRPC_AIO, peer)
            yield Target(
                f"CPU a message of grpc.aio, of the {peer}'s",
                figures.run.titles[shape],
                _ratio_text(ratio),
                f"at least {times:g}",
                ratio.median >= times if ratio else None,
            )


def _message_shapes(figures: Figures) -> list[str]:
    return [shape for shape in figures.shapes if figures.run.units[shape] == "message"]


def _at_most(
    figures: Figures, shape: str, what: str, peers: tuple[str, str], limit: float, other_shape: str = ""
) -> Target:
    ratio = figures.ratio(shape, *peers, other_shape)
    met = ratio.median <= limit if ratio else None
    return Target(what, figures.run.titles[shape], _ratio_text(ratio), f"at most {limit:g}", met)


def _ratio_text(ratio: Spread | None) -> str:
    return f"{ratio.median:.2f} ({ratio.low:.2f} - {ratio.high:.2f})" if ratio else "not measured"


def _latency(figures: Figures) -> Iterator[Target]:
    for shape in figures.shapes:
        if not figures.has_latency(shape):
            continue
        yield _p99(figures, shape, GATEWAY, "added p99, above Envoy's")
        if figures.run.units[shape] == "RPC":
            yield _p99(figures, shape, COMPILED, "added p99 compiled, above Envoy's")


def _p99(figures: Figures, shape: str, peer: str, what: str) -> Target:
    found = figures.latency_difference_us(shape, peer, ENVOY, 0.99)
    text = f"{found.value:+,.0f} us ({found.low:+,.0f} - {found.high:+,.0f})" if found else "not measured"
    met = found.low <= 0 if found else None
    return Target(what, figures.run.titles[shape], text, "interval reaches 0", met)


def _memory(figures: Figures) -> Iterator[Target]:
    streams = {idle.streams for idle in figures.run.idle if idle.peer == GATEWAY}
    where = f"{max(streams):,} streams before their first token" if streams else ""
    yield _below("RSS a stream", where, figures.stream_bytes(GATEWAY), STREAM_BYTES, 1e3, "KB")
    at_rest = figures.rest_bytes(GATEWAY)
    yield _below("RSS of an idle worker", "", at_rest.get("worker"), WORKER_BYTES, 1e6, "MB")
    yield _below("RSS of an idle control process", "", at_rest.get("control"), CONTROL_BYTES, 1e6, "MB")


def _decision(figures: Figures) -> Iterator[Target]:
    what, run = "a pick and its bookkeeping, 8 replicas", figures.run
    yield _below(what, "", spread(run.decision_us), DECISION_US, 1, "us")
    yield _below(f"{what}, compiled", "", spread(run.decision_compiled_us), DECISION_US, 1, "us")


def _below(what: str, where: str, found: Spread | None, limit: float, unit: float, unit_name: str) -> Target:
    text = f"{found.median / unit:.1f} {unit_name}" if found else "not measured"
    met = found.median <= limit if found else None
    return Target(what, where, text, f"at most {limit / unit:g} {unit_name}", met)
