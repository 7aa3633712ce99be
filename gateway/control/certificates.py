"""The files of certificates and keys: read and checked as a whole, so that what is sent to workers works."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from gateway.config import AgentTlsSettings, ReplicaTlsSettings
from gateway.errors import SettingsError
from gateway.tls.contexts import client_context, server_context
from gateway.tls.material import AgentTls, Identity, ReplicaTls


class PemFiles:
    """What the files of one side say at one instant."""

    def __init__(self, side: str, paths: Mapping[str, str]) -> None:
        """`side` names the struct of settings, for people; `paths` by the names in it, empty where there is none."""
        self._side = side
        self._paths = paths
        self.contents = {name: _read(path) for name, path in paths.items() if path}
        """Text: why the file cannot be read."""

    def certificates(self, name: str) -> str:
        """Return the certificates in a file; empty where it is not asked for. Raises SettingsError."""
        return "".join(_pem(certificate) for certificate in self._certificates(name)) if self._paths[name] else ""

    def identity(self) -> Identity:
        """Return what `cert` and `key` hold. Raises SettingsError."""
        certificates, key = self._certificates("cert"), self._key()
        if certificates[0].public_key() != key.public_key():
            raise self.complaint("key", f"is not the key of the certificate in {self._paths['cert']}")
        serialized = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Identity("".join(map(_pem, certificates)), serialized.decode("ascii"))

    def complaint(self, name: str, reason: str) -> SettingsError:
        return SettingsError(f"tls.{self._side}.{name}: {self._paths[name]}: {reason}")

    def _certificates(self, name: str) -> list[x509.Certificate]:
        text = self._content(name)
        if b"-----BEGIN CERTIFICATE-----" not in text:
            raise self.complaint(name, "has no certificate in PEM")
        try:
            return x509.load_pem_x509_certificates(text)
        except ValueError:
            raise self.complaint(name, "has a broken certificate") from None

    def _key(self) -> PrivateKeyTypes:
        try:
            return load_pem_private_key(self._content("key"), None)
        except TypeError:
            raise self.complaint("key", "has a passphrase, which nobody here can enter") from None
        except (ValueError, UnsupportedAlgorithm):
            raise self.complaint("key", "has no private key in PEM that can be used") from None

    def _content(self, name: str) -> bytes:
        content = self.contents[name]
        if isinstance(content, str):
            raise self.complaint(name, content)
        return content


def agent_tls(settings: AgentTlsSettings, files: PemFiles) -> AgentTls:
    """Raises SettingsError."""
    needs_client = settings.client_cert == "required"
    tls = AgentTls(files.identity(), files.certificates("client_ca"), needs_client)
    try:
        server_context(tls)
    except (OSError, ValueError) as error:
        raise files.complaint("cert", f"OpenSSL does not take it: {error}") from None
    return tls


def replica_tls(settings: ReplicaTlsSettings, files: PemFiles) -> ReplicaTls:
    """Raises SettingsError."""
    identity = files.identity() if settings.cert else None
    tls = ReplicaTls(files.certificates("ca"), identity, settings.server_name)
    try:
        client_context(tls)
    except (OSError, ValueError) as error:
        raise files.complaint("cert" if identity else "ca", f"OpenSSL does not take it: {error}") from None
    return tls


def validity(identity: Identity) -> tuple[datetime, datetime]:
    """Return from when until when our certificate holds."""
    certificate = x509.load_pem_x509_certificate(identity.chain.encode("ascii"))
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _read(path: str) -> bytes | str:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        return error.strerror or str(error)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
