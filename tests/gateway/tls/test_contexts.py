import ssl

import msgspec
import pytest

from gateway.tls.contexts import Contexts, client_context, server_context
from gateway.tls.material import AgentTls, Identity, Material, ReplicaTls
from tests.certificates import Authority


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def identity(authority: Authority) -> Identity:
    return authority.issue("localhost")


def test_only_what_http2_may_use_is_offered(authority: Authority, identity: Identity) -> None:
    for context in (server_context(AgentTls(identity)), client_context(ReplicaTls(authority.ca))):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        names = [cipher["name"] for cipher in context.get_ciphers()]
        assert all(name.startswith(("TLS_", "ECDHE-")) and ("GCM" in name or "POLY1305" in name) for name in names)
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION


@pytest.mark.parametrize(
    ("client_ca", "needs_client", "mode"),
    [(False, True, ssl.CERT_NONE), (True, True, ssl.CERT_REQUIRED), (True, False, ssl.CERT_OPTIONAL)],
)
def test_agents_are_asked_for_a_certificate_where_there_is_an_authority_for_it(
    authority: Authority, identity: Identity, client_ca: bool, needs_client: bool, mode: ssl.VerifyMode
) -> None:
    tls = AgentTls(identity, authority.ca if client_ca else "", needs_client)
    assert server_context(tls).verify_mode is mode


def test_replicas_have_to_be_who_they_should_be(authority: Authority) -> None:
    context = client_context(ReplicaTls(authority.ca))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_material_that_cannot_be_used_changes_nothing(authority: Authority, identity: Identity) -> None:
    contexts = Contexts(Material(AgentTls(identity), ReplicaTls(authority.ca, server_name="r")))
    before = (contexts.agents, contexts.replicas, contexts.server_name)
    foreign = Identity(identity.chain, authority.issue("other").key)
    for broken in (Material(AgentTls(foreign)), Material(None, ReplicaTls("no PEM"))):
        with pytest.raises(ssl.SSLError):
            contexts.use(broken)
        assert (contexts.agents, contexts.replicas, contexts.server_name) == before


def test_a_key_is_never_shown(identity: Identity) -> None:
    material = Material(AgentTls(identity), ReplicaTls("ca", identity))
    assert "PRIVATE" not in repr(material)
    assert "PRIVATE" in msgspec.json.encode(material).decode()


def test_no_file_and_no_descriptor_is_left_of_a_key(identity: Identity) -> None:
    for _ in range(3):
        server_context(AgentTls(identity))  # The fixture of all tests counts descriptors.


def test_nothing_is_plain_text() -> None:
    contexts = Contexts(Material())
    assert (contexts.agents, contexts.replicas) == (None, None)
