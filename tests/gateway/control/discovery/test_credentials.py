"""How the gateway proves to an API server who it is, and whom it believes: service accounts, kubeconfigs, TLS."""

import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from gateway.config import KubernetesSource
from gateway.control.discovery.endpoint_slices import watch
from gateway.control.discovery.sources import Found, SourceFailed
from tests.certificates import Authority, write
from tests.gateway.control.discovery.api_server import (
    PATH,
    ApiServer,
    endpoint,
    kubeconfig,
    running_api_server,
    slice_of,
)

SLICE = slice_of("a", endpoint("10.0.0.1", "vllm-1"))
SOURCE = KubernetesSource(service="vllm")


def server_tls(authority: Authority, folder: Path, *, asks: bool = False) -> ssl.SSLContext:
    """`asks`: for a certificate of the same authority."""
    files = write(authority.issue("127.0.0.1"), folder, "server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=authority.ca)
    return context


def service_account(folder: Path, ca: str, token: str = "first") -> Path:
    """What a kubelet mounts into a pod."""
    folder.mkdir()
    for name, text in {"token": token, "ca.crt": ca, "namespace": "models\n"}.items():
        (folder / name).write_text(text)
    return folder


def in_cluster(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kubelet sets in a container's environment."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))


async def ids(answers: AsyncGenerator[Found, None]) -> list[str]:
    return [replica.id for replica in await anext(answers)]


async def test_a_pod_uses_its_service_account_and_a_new_token_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    async with running_api_server(server_tls(authority, tmp_path)) as server:
        server.slices = [SLICE]
        in_cluster(server, monkeypatch)
        account = service_account(tmp_path / "account", authority.ca)
        async with aclosing(watch(SOURCE, account)) as answers:
            assert await ids(answers) == ["vllm-1"]
            (account / "token").write_text("second")
            server.end_watch()
            assert await ids(answers) == ["vllm-1"]
    assert (server.tokens[0].lower(), server.tokens[-1].lower()) == ("bearer first", "bearer second")
    assert set(server.paths) == {PATH.format(namespace="models")}


async def test_an_api_server_of_another_authority_is_told_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_api_server(server_tls(Authority(), tmp_path)) as server:
        in_cluster(server, monkeypatch)
        account = service_account(tmp_path / "account", Authority("another").ca)
        async with aclosing(watch(SOURCE, account)) as answers:
            with pytest.raises(SourceFailed, match="CERTIFICATE_VERIFY_FAILED"):
                await anext(answers)
    assert server.tokens == []


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
async def test_half_a_service_account_fails_the_source(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_api_server() as server:
        in_cluster(server, monkeypatch)
        account = service_account(tmp_path / "account", Authority().ca)
        (account / missing).unlink()
        async with aclosing(watch(SOURCE, account)) as answers:
            with pytest.raises(SourceFailed, match="does not exist"):
                await anext(answers)


async def test_a_kubeconfig_that_is_named_wins_over_the_service_account(tmp_path: Path) -> None:
    account = service_account(tmp_path / "account", Authority().ca)
    async with running_api_server() as server:
        server.slices = [SLICE]
        file = kubeconfig(tmp_path / "config", server.url)
        source = KubernetesSource(service="vllm", kubeconfig=str(file), namespace="other")
        async with aclosing(watch(source, account)) as answers:
            assert await ids(answers) == ["vllm-1"]
    assert set(server.tokens) == {"Bearer t"}
    assert set(server.paths) == {PATH.format(namespace="other")}


async def test_a_kubeconfig_brings_its_authority_and_a_certificate_of_its_own(tmp_path: Path) -> None:
    authority = Authority()
    own = authority.issue("system:gateway.example")
    async with running_api_server(server_tls(authority, tmp_path, asks=True)) as server:
        server.slices = [SLICE]
        user = {"client-certificate-data": encoded(own.chain), "client-key-data": encoded(own.key)}
        cluster = {"certificate-authority-data": encoded(authority.ca)}
        file = kubeconfig(tmp_path / "config", server.url, cluster, user)
        async with aclosing(watch(KubernetesSource(service="vllm", kubeconfig=str(file)))) as answers:
            assert await ids(answers) == ["vllm-1"]
    assert set(server.certificates) == {"system:gateway.example"}


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()
