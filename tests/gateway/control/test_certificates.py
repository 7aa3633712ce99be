"""Files of certificates and keys: what can be used, what is complained of, and what happens when they change."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.config import AgentTlsSettings, ReplicaTlsSettings, TlsSettings
from gateway.control.certificate_watch import CertificateWatch
from gateway.errors import SettingsError
from gateway.metrics import Registry
from gateway.tls.material import Identity, Material
from tests.certificates import Authority, write

AUTHORITY = Authority()
FIRST, SECOND = AUTHORITY.issue("first"), AUTHORITY.issue("second")


class Watching:
    """A watch over files in a folder, both sides on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry()
        self.told: list[Material] = []
        self.now_s = datetime.now(UTC).timestamp()
        self.put(FIRST)
        ca = AUTHORITY.write_ca(folder)
        agents = AgentTlsSettings(cert=str(folder / "own.pem"), key=str(folder / "own.key"), client_ca=ca)
        settings = TlsSettings(agents=agents, replicas=ReplicaTlsSettings(ca=ca))
        self.watch = CertificateWatch(settings, self.registry, self.told.append, lambda: self.now_s)

    def put(self, identity: Identity) -> None:
        write(identity, self.folder, "own")

    @property
    def identity(self) -> Identity:
        assert self.watch.material.agents is not None
        return self.watch.material.agents.identity

    def metric(self, name: str) -> dict[tuple[str, ...], float]:
        families = {family.name: family.samples for family in self.registry.dump()}
        return {sample.labels: sample.values[0] for sample in families.get(f"inference_gateway_certificate_{name}", [])}


@pytest.fixture
def watching(tmp_path: Path) -> Watching:
    return Watching(tmp_path)


def test_both_sides_are_read(watching: Watching) -> None:
    material = watching.watch.material
    assert material.agents is not None
    assert material.replicas is not None
    assert material.agents.identity.chain == FIRST.chain
    assert material.agents.client_ca == material.replicas.ca == AUTHORITY.ca


def test_without_files_there_is_plain_text_and_nothing_to_watch() -> None:
    watch = CertificateWatch(TlsSettings(), Registry(), lambda material: None, lambda: 0.0)
    assert watch.material == Material()
    watch.look()


def test_a_change_is_used_and_told_once(watching: Watching) -> None:
    watching.watch.look()
    watching.put(SECOND)
    watching.watch.look()
    watching.watch.look()
    assert watching.identity == SECOND
    assert watching.told == [watching.watch.material]
    assert watching.metric("reloads_total") == {("agents", "used"): 1}


def test_a_file_that_is_only_touched_is_no_change(watching: Watching) -> None:
    os.utime(watching.folder / "own.pem", (1, 1))
    watching.put(FIRST)
    watching.watch.look()
    assert watching.told == []


def test_a_link_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes does it: ..data is swapped, and the files are links through it."""
    for name, identity in (("one", FIRST), ("two", SECOND)):
        (tmp_path / name).mkdir()
        write(identity, tmp_path / name, "own")
    (tmp_path / "..data").symlink_to("one")
    for name in ("own.pem", "own.key"):
        (tmp_path / name).symlink_to(Path("..data", name))
    agents = AgentTlsSettings(cert=str(tmp_path / "own.pem"), key=str(tmp_path / "own.key"))
    told: list[Material] = []
    watch = CertificateWatch(TlsSettings(agents=agents), Registry(), told.append, lambda: 0.0)
    (tmp_path / "..next").symlink_to("two")
    (tmp_path / "..next").replace(tmp_path / "..data")
    watch.look()
    assert [material.agents and material.agents.identity for material in told] == [SECOND]


def spoil_key(watching: Watching) -> None:
    (watching.folder / "own.key").write_text(SECOND.key)


def spoil_certificate(watching: Watching) -> None:
    (watching.folder / "own.pem").write_text(SECOND.chain[: len(SECOND.chain) // 2])


def spoil_ca(watching: Watching) -> None:
    (watching.folder / "ca.pem").write_text("")


def remove(watching: Watching) -> None:
    (watching.folder / "own.key").unlink()


@pytest.mark.parametrize("spoil", [spoil_key, spoil_certificate, spoil_ca, remove])
def test_a_broken_change_is_refused_whole_and_told_once(
    watching: Watching, spoil: Callable[[Watching], None], caplog: pytest.LogCaptureFixture
) -> None:
    before = watching.watch.material
    spoil(watching)
    for _ in range(3):
        watching.watch.look()
    assert watching.watch.material == before
    assert watching.told == []
    sides = {side for side, _ in watching.metric("reloads_total")}
    assert watching.metric("reloads_total") == {(side, "refused"): 1 for side in sides}
    assert caplog.text.count("event=certificate_refused") == len(sides)
    AUTHORITY.write_ca(watching.folder)
    watching.put(SECOND)
    watching.watch.look()
    assert watching.identity == SECOND


def test_a_file_between_two_writes_is_refused_and_then_used(watching: Watching) -> None:
    (watching.folder / "own.pem").write_text(SECOND.chain)
    watching.watch.look()
    assert watching.identity == FIRST
    (watching.folder / "own.key").write_text(SECOND.key)
    watching.watch.look()
    assert watching.identity == SECOND


def test_a_broken_side_does_not_hold_up_the_other(watching: Watching) -> None:
    newer = Authority("a newer one")
    spoil_key(watching)
    newer.write_ca(watching.folder)
    watching.watch.look()
    assert watching.identity == FIRST
    assert watching.watch.material.replicas is not None
    assert watching.watch.material.replicas.ca == newer.ca


def test_until_when_it_holds_is_a_metric(watching: Watching) -> None:
    (expires,) = watching.metric("expiration_timestamp_seconds").values()
    assert expires == pytest.approx(watching.now_s + timedelta(days=7).total_seconds(), abs=3600)


def test_one_that_has_expired_is_used_with_a_warning(watching: Watching, caplog: pytest.LogCaptureFixture) -> None:
    watching.put(AUTHORITY.issue("old", valid_for=timedelta(days=-1)))
    watching.watch.look()
    assert "event=certificate_not_valid" in caplog.text
    assert watching.told


def lock(identity: Identity, path: Path) -> None:
    """Write its key with a passphrase."""
    key = load_pem_private_key(identity.key.encode(), None)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))


@pytest.mark.parametrize(
    ("setting", "file", "complaint"),
    [
        ("cert", "none", "No such file or directory"),
        ("cert", "folder", "Is a directory"),
        ("cert", "own.key", "has no certificate in PEM"),
        ("cert", "cut.pem", "has a broken certificate"),
        ("key", "own.pem", "has no private key in PEM that can be used"),
        ("key", "other.key", "is not the key of the certificate in FOLDER/own.pem"),
        ("key", "locked.key", "has a passphrase, which nobody here can enter"),
        ("client_ca", "own.key", "has no certificate in PEM"),
    ],
)
def test_wrong_files_are_told_at_the_start_in_one_line(tmp_path: Path, setting: str, file: str, complaint: str) -> None:
    write(FIRST, tmp_path, "own")
    write(SECOND, tmp_path, "other")
    lock(FIRST, tmp_path / "locked.key")
    (tmp_path / "folder").mkdir()
    (tmp_path / "cut.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    files = {"cert": "own.pem", "key": "own.key", setting: file}
    agents = msgspec.convert({name: str(tmp_path / path) for name, path in files.items()}, AgentTlsSettings)
    with pytest.raises(SettingsError) as refused:
        CertificateWatch(TlsSettings(agents=agents), Registry(), lambda material: None, lambda: 0.0)
    told = str(refused.value).replace(str(tmp_path), "FOLDER")
    assert told == f"tls.agents.{setting}: FOLDER/{file}: {complaint}"
