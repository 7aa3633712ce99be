"""SSL contexts: at least TLS 1.2, forward secrecy and AEAD only, HTTP/2 by ALPN."""

import os
import ssl
from ssl import SSLContext

from gateway.tls.material import AgentTls, Identity, Material, ReplicaTls

HTTP2 = "h2"

# Of TLS 1.2. All else is on RFC 9113's list of what HTTP/2 must not use (appendix A); TLS 1.3 has nothing else.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Contexts:
    """Those for new handshakes. A connection keeps what it began with, so that a change ends none."""

    def __init__(self, material: Material) -> None:
        self.use(material)

    def use(self, material: Material) -> None:
        """Raises OSError (as ssl.SSLError is), ValueError; then all stays as it was."""
        agents = server_context(material.agents) if material.agents else None
        replicas = client_context(material.replicas) if material.replicas else None
        self.agents, self.replicas = agents, replicas
        self.server_name = material.replicas.server_name if material.replicas else ""


def server_context(tls: AgentTls) -> SSLContext:
    """Raises OSError (as ssl.SSLError is), ValueError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, tls.identity)
    # Streams share long connections, so there is little to resume; and whom we no longer trust cannot come back so.
    context.num_tickets = 0
    if tls.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED if tls.needs_client else ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=tls.client_ca)
    return context


def client_context(tls: ReplicaTls) -> SSLContext:
    """Raises OSError (as ssl.SSLError is), ValueError."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, tls.identity)
    context.load_verify_locations(cadata=tls.ca)
    return context


def _context(protocol: int, identity: Identity | None) -> SSLContext:
    context = SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols([HTTP2])
    if identity is not None:
        _load(context, identity)
    return context


def _load(context: SSLContext, identity: Identity) -> None:
    """OpenSSL's API takes files: this one lies in memory alone."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(f"{identity.key.rstrip()}\n{identity.chain}")
        file.flush()
        # Of a key with a passphrase the terminal would be asked.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
