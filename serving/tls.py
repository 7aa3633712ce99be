"""TLS on a replica's port. The files are read at each handshake, so that new certificates need no restart."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from serving.config import Settings, SettingsError

_log = logging.getLogger(__name__)


class _Files(NamedTuple):
    cert: bytes
    key: bytes
    client_ca: bytes | None


class Certificates:
    """Those of the settings, which name a certificate."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError where they cannot be used."""
        self._settings = settings
        self._seen = self._read()
        self._initial = self._checked(self._seen)

    def credentials(self) -> grpc.ServerCredentials:
        """Return what grpcio asks for certificates at each handshake, in one of its threads."""
        needs_client = bool(self._settings.tls_client_ca)
        renewed: Any = self._renewed  # its stubs do not know of None, which means: as before
        return grpc.dynamic_ssl_server_credentials(self._initial, renewed, needs_client)

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold; None where that is not new, or cannot be used: the old ones stay."""
        try:
            files = self._read()
            if files == self._seen:
                return None
            self._seen = files
            configuration = self._checked(files)
        except SettingsError as error:
            _log.error("event=certificate_refused reason=%s", error)
            return None
        _log.info("event=certificate_in_use")
        return configuration

    def _read(self) -> _Files:
        settings = self._settings
        client_ca = _content("tls_client_ca", settings.tls_client_ca) if settings.tls_client_ca else None
        return _Files(_content("tls_cert", settings.tls_cert), _content("tls_key", settings.tls_key), client_ca)

    def _checked(self, files: _Files) -> grpc.ServerCertificateConfiguration:
        """Raises SettingsError: grpcio itself would accept anything, and then fail each handshake."""
        settings = self._settings
        certificates = _certificates("tls_cert", settings.tls_cert, files.cert)
        if files.client_ca is not None:
            _certificates("tls_client_ca", settings.tls_client_ca, files.client_ca)
        try:
            key = load_pem_private_key(files.key, None)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            line = f"tls_key: {settings.tls_key}: has no private key in PEM without a passphrase"
            raise SettingsError(line) from None
        if key.public_key() != certificates[0].public_key():
            line = f"tls_key: {settings.tls_key}: is not the key of the certificate in {settings.tls_cert}"
            raise SettingsError(line)
        return grpc.ssl_server_certificate_configuration([(files.key, files.cert)], files.client_ca)


def _content(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{setting}: {path}: {error.strerror}") from None


def _certificates(setting: str, path: str, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise SettingsError(f"{setting}: {path}: has no certificate in PEM, or a broken one") from None
