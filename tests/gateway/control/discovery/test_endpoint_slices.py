from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from gateway.config import KubernetesSource
from gateway.control.discovery.endpoint_slices import watch
from gateway.control.discovery.sources import Found, SourceFailed
from tests.gateway.control.discovery.api_server import (
    ApiServer,
    endpoint,
    kubeconfig,
    running_api_server,
    slice_of,
)

ONE, TWO = endpoint("10.0.0.1", "vllm-1"), endpoint("10.0.0.2", "vllm-2")


@asynccontextmanager
async def watching(tmp_path: Path) -> AsyncGenerator[tuple[ApiServer, AsyncGenerator[Found, None]], None]:
    async with running_api_server() as server:
        server.slices = [slice_of("a", ONE)]
        file = kubeconfig(tmp_path / "config", server.url)
        async with aclosing(watch(KubernetesSource(service="vllm", kubeconfig=str(file)))) as answers:
            yield server, answers


async def ids(answers: AsyncGenerator[Found, None]) -> list[str]:
    return [replica.id for replica in await anext(answers)]


async def test_it_lists_then_follows_what_the_watch_says(tmp_path: Path) -> None:
    async with watching(tmp_path) as (server, answers):
        assert await ids(answers) == ["vllm-1"]
        server.send("ADDED", slice_of("b", TWO))
        assert await ids(answers) == ["vllm-1", "vllm-2"]
        server.send("BOOKMARK", {"kind": "EndpointSlice", "metadata": {"resourceVersion": "9"}})
        assert await ids(answers) == ["vllm-1", "vllm-2"]
        server.send("MODIFIED", slice_of("b", TWO, endpoint("10.0.0.3", "vllm-3")))
        assert await ids(answers) == ["vllm-1", "vllm-2", "vllm-3"]
        server.send("DELETED", slice_of("a", ONE))
        assert await ids(answers) == ["vllm-2", "vllm-3"]
    assert server.lists == [{"labelSelector": "kubernetes.io/service-name=vllm"}]
    assert server.watches[0]["resourceVersion"] == "1"
    assert set(server.tokens) == {"Bearer t"}


async def test_at_each_end_of_a_watch_it_lists_again_and_finds_what_went_meanwhile(tmp_path: Path) -> None:
    async with watching(tmp_path) as (server, answers):
        assert await ids(answers) == ["vllm-1"]
        server.slices = [slice_of("b", TWO)]
        server.end_watch()
        assert await ids(answers) == ["vllm-2"]
        server.slices = [slice_of("a", ONE), slice_of("b", TWO)]
        server.send("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
        assert await ids(answers) == ["vllm-1", "vllm-2"]
    assert len(server.lists) == 3


async def test_a_slice_of_a_thousand_endpoints_is_read_whole(tmp_path: Path) -> None:
    async with watching(tmp_path) as (server, answers):
        await ids(answers)
        many = [endpoint(f"10.1.{n // 250}.{n % 250}", f"vllm-{n:04}", nodeName="node" * 60) for n in range(1_000)]
        server.send("MODIFIED", slice_of("a", *many))
        assert len(await ids(answers)) == 1_000


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_what_the_server_refuses_fails_the_source(status: int, tmp_path: Path) -> None:
    async with watching(tmp_path) as (server, answers):
        server.status = status
        with pytest.raises(SourceFailed, match=f"^kubernetes: {status} "):
            await anext(answers)


async def test_without_credentials_it_says_so(tmp_path: Path) -> None:
    source = KubernetesSource(service="vllm", kubeconfig=str(tmp_path / "none"))
    async with aclosing(watch(source)) as answers:
        with pytest.raises(SourceFailed, match="Invalid kube-config file"):
            await anext(answers)
