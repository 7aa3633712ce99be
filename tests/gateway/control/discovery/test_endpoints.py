from typing import Any

import msgspec
import pytest

from gateway.config import KubernetesSource, ReplicaSettings
from gateway.control.discovery.endpoints import Slice, replicas_of
from gateway.control.discovery.sources import SourceFailed
from tests.gateway.control.discovery.api_server import endpoint, slice_of

SOURCE = KubernetesSource(service="vllm", weight=2, zone="z0", labels={"tier": "gold"})


def found(*slices: dict[str, Any], source: KubernetesSource = SOURCE) -> list[ReplicaSettings]:
    return replicas_of(msgspec.convert(slices, list[Slice]), source)


def test_a_ready_endpoint_is_a_replica_by_the_name_of_its_pod() -> None:
    labels = {"kubernetes.io/service-name": "vllm", "gpu": "h100", "inference-gateway/weight": "3.5"}
    (replica,) = found(slice_of("a", endpoint("10.0.0.1", "vllm-1", zone="z1"), labels=labels))
    assert replica == ReplicaSettings(
        id="vllm-1", address="10.0.0.1:50051", weight=3.5, zone="z1", labels={"tier": "gold", "gpu": "h100"}
    )


def test_what_a_slice_does_not_say_the_source_does() -> None:
    (replica,) = found(slice_of("a", endpoint("10.0.0.1")))
    assert replica == ReplicaSettings(
        id="10.0.0.1:50051", address="10.0.0.1:50051", weight=2, zone="z0", labels={"tier": "gold"}
    )


@pytest.mark.parametrize("weight", ["", "heavy", "0", "-1", "nan", "1e9"])
def test_what_is_no_weight_is_left_out(weight: str) -> None:
    (replica,) = found(slice_of("a", endpoint("10.0.0.1"), annotations={"inference-gateway/weight": weight}))
    assert replica.weight == 2


def test_annotations_may_hold_what_labels_cannot() -> None:
    annotations = {"inference-gateway/model": "meta-llama/Llama-3.1-8B", "inference-gateway/zone": "rack 7"}
    (replica,) = found(slice_of("a", endpoint("10.0.0.1", zone="z1"), annotations=annotations))
    assert (replica.models, replica.zone) == (("meta-llama/Llama-3.1-8B",), "rack 7")


def test_endpoints_that_are_not_ready_or_end_are_left_out() -> None:
    ending = {"ready": False, "serving": True, "terminating": True}
    replicas = found(
        slice_of(
            "a",
            endpoint("10.0.0.1", "starts", conditions={"ready": False}),
            endpoint("10.0.0.2", "ends", conditions=ending),
            endpoint("10.0.0.3", "says-nothing", conditions=None),
        ),
        slice_of("empty") | {"endpoints": None, "ports": None},
    )
    assert [replica.id for replica in replicas] == ["says-nothing"]


def test_a_pod_in_two_slices_is_one_replica_by_its_first_family() -> None:
    six = slice_of("b", endpoint("fd00::1", "vllm-1")) | {"addressType": "IPv6"}
    assert [replica.address for replica in found(six, slice_of("a", endpoint("10.0.0.1", "vllm-1")))] == [
        "10.0.0.1:50051"
    ]
    assert [replica.address for replica in found(six)] == ["[fd00::1]:50051"]


def test_the_port_is_found_by_name_or_number_and_must_be_clear() -> None:
    ports = [{"name": "grpc", "port": 50051}, {"name": "metrics", "port": 9464}]
    two = slice_of("a", endpoint("10.0.0.1")) | {"ports": ports}
    for port in ("grpc", "50051"):
        (replica,) = found(two, source=KubernetesSource(service="vllm", port=port))
        assert replica.address == "10.0.0.1:50051"
    for port in ("", "http"):
        with pytest.raises(SourceFailed, match="not exactly one of: grpc, metrics"):
            found(two, source=KubernetesSource(service="vllm", port=port))
