"""Certificates for tests. trustme, which other tests use, makes none that expire, and none for a URI."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.tls.material import Identity


@dataclass(frozen=True, slots=True)
class Files:
    """One certificate with its key, as PEM in a folder."""

    cert: str
    key: str


class Authority:
    def __init__(self, name: str = "test authority") -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(self._name, self._name, self._key.public_key(), timedelta(days=30))
        certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.ca = _pem(certificate.sign(self._key, hashes.SHA256()))

    def issue(self, *names: str, valid_for: timedelta = timedelta(days=7)) -> Identity:
        """Return a new certificate for host names, addresses and URIs."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        builder = _builder(subject, self._name, key.public_key(), valid_for)
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        certificate = builder.add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256())
        serialized = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Identity(_pem(certificate), serialized.decode())

    def write_ca(self, folder: Path) -> str:
        path = folder / "ca.pem"
        path.write_text(self.ca)
        return str(path)


def write(identity: Identity, folder: Path, name: str) -> Files:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_text(identity.chain)
    key.write_text(identity.key)
    return Files(str(cert), str(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, valid_for: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + valid_for)
    )


def _general(name: str) -> x509.GeneralName:
    if ":" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
