"""Two ends of TLS whose sockets are lists, and a client that updates its keys at will."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gateway.errors import Limit
from gateway.relay.tls_socket import Session, TlsSocket
from gateway.rpc.plain import plain_text_answer
from gateway.tls.contexts import client_context, server_context
from gateway.tls.faults import Cause, HandshakeFault
from gateway.tls.material import AgentTls, ReplicaTls
from tests.certificates import Authority
from tests.gateway.relay.memory_socket import MemorySocket

AGENT_ID = "spiffe://example.org/agent"

authority = Authority()
stranger = Authority("another authority")
server_identity = authority.issue("gateway")
SERVER = server_context(AgentTls(server_identity, authority.ca, needs_client=False))
CLIENT = client_context(ReplicaTls(authority.ca, authority.issue(AGENT_ID)))


class Above:
    """The connection above TLS; it records."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.greeting = greeting
        self.transport: asyncio.Transport
        self.session: Session | None = None
        self.data = b""
        self.is_lost = False
        self.fault: Exception | None = None
        self.pauses: list[bool] = []
        self.limits: list[Limit] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.greeting)

    def on_secured(self, session: Session) -> None:
        self.session = session

    def data_received(self, data: bytes) -> None:
        assert data
        self.data += data

    def pause_writing(self) -> None:
        self.pauses.append(True)

    def resume_writing(self) -> None:
        self.pauses.append(False)

    def on_limit(self, limit: Limit) -> None:
        self.limits.append(limit)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost, self.fault = True, exc


class End:
    def __init__(self, tls: Callable[[Above], TlsSocket], greeting: bytes = b"") -> None:
        self.above = Above(greeting)
        self.socket = MemorySocket()
        self.tls = tls(self.above)
        self.tls.connection_made(self.socket)

    @property
    def cause(self) -> Cause | None:
        return self.above.fault.cause if isinstance(self.above.fault, HandshakeFault) else None

    def take(self) -> bytes:
        sent, self.socket.sent = self.socket.sent, b""
        return sent

    def hear(self, data: bytes) -> None:
        if data and not self.above.is_lost:
            self.tls.data_received(data)

    def lose(self) -> None:
        if not self.above.is_lost:
            self.tls.connection_lost(None)


def server(greeting: bytes = b"", context: ssl.SSLContext = SERVER) -> End:
    def tls(above: Above) -> TlsSocket:
        return TlsSocket(above, context, is_server=True, empty_records=32, plain_answer=plain_text_answer)

    return End(tls, greeting)


def client(greeting: bytes = b"", context: ssl.SSLContext = CLIENT, name: str = "gateway") -> End:
    def tls(above: Above) -> TlsSocket:
        return TlsSocket(above, context, is_server=False, empty_records=32, server_name=name)

    return End(tls, greeting)


def talk(one: End, other: End, size: int = 1 << 20) -> None:
    """Carry bytes both ways until there are none, `size` at a time; a socket that is closed is lost for both."""
    is_quiet = False
    while not is_quiet:
        is_quiet = True
        for speaker, listener in ((one, other), (other, one)):
            said = speaker.take()
            for start in range(0, len(said), size):
                is_quiet = False
                listener.hear(said[start : start + size])
        for end, peer in ((one, other), (other, one)):
            if end.socket.is_closed and not end.socket.sent and not end.above.is_lost:
                is_quiet = False
                end.lose()
                peer.hear(end.take())
                peer.lose()


HANDSHAKE, CONTENT = 22, 23


class Updating:
    """A client that has shaken hands and writes its own records from then on (RFC 8446, 5.2, 7.1 to 7.3), since no
    library lets it update its keys at will."""

    def __init__(self, keys: Path, peer: End) -> None:
        """`keys` is a file for the secrets of the session."""
        context = client_context(ReplicaTls(authority.ca))
        context.keylog_filename = str(keys)
        self.peer = peer
        talk(client(context=context), peer)
        (secret,) = [line for line in keys.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")]
        self._use(bytes.fromhex(secret.split()[2]))

    def update(self, is_answer_wanted: bool = False) -> bytes:
        said = self.record(HANDSHAKE, bytes([24, 0, 0, 1, is_answer_wanted]))
        self._use(self._derived(b"traffic upd", 48))
        return said

    def record(self, kind: int, content: bytes) -> bytes:
        head = bytes([CONTENT, 3, 3]) + (len(content) + 1 + 16).to_bytes(2)
        nonce = (int.from_bytes(self._iv) ^ self._number).to_bytes(12)
        self._number += 1
        return head + self._key.encrypt(nonce, content + bytes([kind]), head)

    def _use(self, secret: bytes) -> None:
        self._secret, self._number = secret, 0
        self._key, self._iv = AESGCM(self._derived(b"key", 32)), self._derived(b"iv", 12)

    def _derived(self, name: bytes, size: int) -> bytes:
        label = b"tls13 " + name
        return HKDFExpand(SHA384(), size, size.to_bytes(2) + bytes([len(label)]) + label + b"\0").derive(self._secret)
