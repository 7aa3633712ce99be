"""What goes with each call: API key, metadata, TLS."""

from typing import Any

import grpc
import pytest
import trustme

from gateway.client import TLS, Client, SyncClient
from gateway.client.errors import Unavailable
from tests.gateway.client.fakes import serving
from tests.gateway.client.test_client import in_thread


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def roots(authority: trustme.CA) -> bytes:
    return authority.cert_pem.bytes()


@pytest.fixture
def server_credentials(authority: trustme.CA, roots: bytes) -> grpc.ServerCredentials:
    """Of a server that asks agents for their certificate."""
    issued = authority.issue_cert("localhost")
    key, chain = issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes()
    return grpc.ssl_server_credentials([(key, chain)], roots, require_client_auth=True)


@pytest.fixture
def tls(authority: trustme.CA, roots: bytes) -> TLS:
    issued = authority.issue_cert("agent@localhost")
    return TLS(
        root_certificates=roots,
        private_key=issued.private_key_pem.bytes(),
        certificate_chain=issued.cert_chain_pems[0].bytes(),
        server_name="localhost",
    )


async def test_both_sides_show_certificates(server_credentials: grpc.ServerCredentials, tls: TLS) -> None:
    async with serving(credentials=server_credentials) as server, Client(server.address, tls=tls) as client:
        assert [model.name for model in await client.models()] == ["tiny"]


async def test_a_client_without_a_certificate_stays_outside(
    server_credentials: grpc.ServerCredentials, roots: bytes
) -> None:
    own = TLS(root_certificates=roots, server_name="localhost")
    async with serving(credentials=server_credentials) as server, Client(server.address, tls=own) as client:
        with pytest.raises(Unavailable):
            await client.models(timeout_s=5)


async def test_a_server_of_another_authority_is_not_trusted(
    server_credentials: grpc.ServerCredentials,
) -> None:
    other = TLS(root_certificates=trustme.CA().cert_pem.bytes(), server_name="localhost")
    async with serving(credentials=server_credentials) as server, Client(server.address, tls=other) as client:
        with pytest.raises(Unavailable):
            await client.models(timeout_s=5)


async def test_the_api_key_and_metadata_go_with_each_call() -> None:
    async with serving() as server:
        async with Client(server.address, api_key="secret", metadata={"x-team": "a"}) as client:
            await client.models()
            await client.embed(["hi"], metadata={"x-team": "b"})
        plain, own = server.metadata
    assert (plain["authorization"], plain["x-team"]) == ("Bearer secret", "a")
    assert (own["authorization"], own["x-team"]) == ("Bearer secret", "b")


async def test_the_clients_options_are_defaults_of_all_calls() -> None:
    async with serving() as server, Client(server.address, model="tiny", timeout_s=50) as client:
        await client.tokenize("hi")
        await client.tokenize("hi", model="other", timeout_s=5)
    models = [getattr(request, "model", None) for request in server.requests]
    assert models == ["tiny", "other"]
    # gRPC rounds a timeout up to the digits that it sends.
    assert server.time_left_s[0] > 6 > server.time_left_s[1]


async def test_embeds_and_tokenizes() -> None:
    async with serving() as server:
        async with Client(server.address) as client:
            embeddings = await client.embed(["a", [1, 2]], dimensions=2)
            tokens = await client.tokenize("hi")
            await client.tokenize([{"role": "user", "content": "hi"}])
        assert embeddings.vectors == ((0.0, 0.5), (1.0, 0.5))
        assert embeddings.usage.prompt_tokens == 7
        assert (tokens.token_ids, tokens.context_tokens) == ((104, 105), 4096)
        sync_tokens = await in_thread(server, lambda client: client.tokenize("hi"))
        sync_embeddings = await in_thread(server, lambda client: client.embed(["a", [1, 2]], dimensions=2))
    assert (sync_tokens, sync_embeddings) == (tokens, embeddings)


@pytest.mark.parametrize("kind", [Client, SyncClient])
def test_a_misspelt_option_is_not_dropped(kind: type[Client] | type[SyncClient]) -> None:
    options: Any = {"api_kye": "secret"}
    with pytest.raises(TypeError, match="api_kye"):
        kind("127.0.0.1:1", **options)
