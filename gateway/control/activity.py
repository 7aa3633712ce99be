"""What goes through the gateway, from the metrics of its workers."""

from collections import defaultdict
from collections.abc import Sequence

from gateway.metrics import Family, Sample
from inference.v1 import admin_pb2 as pb

_PREFIX = "inference_gateway_"


def activity(families: Sequence[Family]) -> pb.GetActivityResponse:
    """Return the sums over all replicas, and those of each."""
    named = {family.name.removeprefix(_PREFIX): family for family in families}

    def samples(name: str) -> Sequence[Sample]:
        return named[name].samples if name in named else ()

    def total(name: str) -> int:
        return round(sum(sample.values[0] for sample in samples(name)))

    ended = defaultdict[str, float](float)
    # Counted as they pass; messages_total counts those of a stream at its end.
    messages = {sample.labels[0]: sum(sample.values[:-1]) for sample in samples("inter_token_seconds")}
    for sample in samples("requests_total"):
        ended[sample.labels[-1]] += sample.values[0]
    failed = sum(sample.values[0] for sample in samples("requests_total") if sample.labels[1] != "OK")
    return pb.GetActivityResponse(
        requests_ended=round(sum(ended.values())),
        requests_failed=round(failed),
        messages=round(sum(messages.values())),
        streams_open=total("streams_open"),
        requests_parked=total("requests_parked"),
        connections_open=total("agent_connections_open"),
        time_to_first_token=_histogram(named.get("time_to_first_token_seconds")),
        replicas=[
            pb.ReplicaActivity(id=name, requests_ended=round(ended[name]), messages=round(messages.get(name, 0.0)))
            for name in sorted({*ended, *messages} - {""})
        ],
    )


def by_replica(families: Sequence[Family], name: str) -> dict[str, float]:
    return {
        sample.labels[0]: sample.values[0] for family in families if family.name == name for sample in family.samples
    }


def _histogram(family: Family | None) -> pb.Histogram:
    """Return the sum over all labels."""
    if family is None:
        return pb.Histogram()
    counts = [round(sum(bucket)) for bucket in zip(*(sample.values[:-1] for sample in family.samples), strict=True)]
    return pb.Histogram(bounds_s=family.bounds, counts=counts)
