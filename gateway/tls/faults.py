"""Why a connection came to nothing before anything was asked on it."""

import ssl
from collections.abc import Mapping
from enum import StrEnum


class Cause(StrEnum):
    """Label values in metrics, words in logs."""

    PLAIN_TEXT = "plain_text"
    TLS = "tls"
    HTTP1 = "http1"
    FOREIGN = "foreign"
    NO_H2 = "no_h2"
    NO_CERTIFICATE = "no_certificate"
    UNTRUSTED = "untrusted"
    NOTHING_IN_COMMON = "nothing_in_common"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    CROWDED_OUT = "crowded_out"
    CLOSED = "closed"
    BROKEN = "broken"


MEANINGS: Mapping[Cause, str] = {
    Cause.PLAIN_TEXT: "the peer speaks plain text where TLS is spoken",
    Cause.TLS: "the peer speaks TLS where plain text is spoken",
    Cause.HTTP1: "the peer speaks HTTP/1, and gRPC needs HTTP/2",
    Cause.FOREIGN: "the peer speaks something else than HTTP/2",
    Cause.NO_H2: "the peer has not agreed to HTTP/2 (ALPN h2)",
    Cause.NO_CERTIFICATE: "the peer has shown no certificate",
    Cause.UNTRUSTED: "the peer's certificate cannot be trusted",
    Cause.NOTHING_IN_COMMON: "the peer offers no version or cipher of TLS that is safe",
    Cause.REFUSED: "the peer has refused us; it may not trust our certificate, or want another one",
    Cause.TIMEOUT: "not done in time",
    Cause.CROWDED_OUT: "the oldest of too many that are under way",
    Cause.CLOSED: "the peer has closed the connection",
    Cause.BROKEN: "the peer has broken the rules",
}

_BY_REASON: Mapping[str, Cause] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": Cause.NO_CERTIFICATE,
    "CERTIFICATE_VERIFY_FAILED": Cause.UNTRUSTED,
    "UNSUPPORTED_PROTOCOL": Cause.NOTHING_IN_COMMON,
    "VERSION_TOO_LOW": Cause.NOTHING_IN_COMMON,
    "NO_SHARED_CIPHER": Cause.NOTHING_IN_COMMON,
    "NO_SUITABLE_KEY_SHARE": Cause.NOTHING_IN_COMMON,
    "NO_SHARED_SIGNATURE_ALGORITHMS": Cause.NOTHING_IN_COMMON,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": Cause.NOTHING_IN_COMMON,
}


class HandshakeFault(ConnectionError):
    """Ends a connection, mostly before it has begun."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        super().__init__(f"{MEANINGS[cause]} ({detail})" if detail else MEANINGS[cause])
        self.cause = cause


def fault_of(error: ssl.SSLError) -> HandshakeFault:
    """Say what OpenSSL means, as far as it can be told by the reason that it names."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return HandshakeFault(Cause.UNTRUSTED, error.verify_message)
    reason = error.reason or ""
    words = reason.replace("_", " ").lower()
    # Of its alerts OpenSSL says SSLV3_ALERT_, TLSV1_ALERT_ or TLSV13_ALERT_, whatever the version.
    cause = Cause.REFUSED if "_ALERT_" in reason else _BY_REASON.get(reason, Cause.BROKEN)
    return HandshakeFault(cause, words)
