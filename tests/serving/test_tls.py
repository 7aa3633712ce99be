"""Certificates of a replica: who is let in, what changes without a restart, what is complained of."""

from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from grpc import aio

from inference.v1.inference_pb2 import ListModelsRequest
from inference.v1.inference_pb2_grpc import InferenceStub
from serving.config import SettingsError
from serving.tls import Certificates
from tests.certificates import Authority, write
from tests.serving.running import SETTINGS, running

pytestmark = pytest.mark.anyio

AUTHORITY = Authority()
GATEWAY = AUTHORITY.issue("gateway")


def files(folder: Path, name: str = "replica") -> dict[str, Any]:
    """New files, or others in their place."""
    written = write(AUTHORITY.issue(name), folder, "own")
    return {"tls_cert": written.cert, "tls_key": written.key}


async def models(port: int, name: str, credentials: grpc.ChannelCredentials) -> int:
    options = [("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1)]
    async with aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        return len((await InferenceStub(channel).ListModels(ListModelsRequest(), timeout=10)).models)


async def test_only_who_shows_a_certificate_is_let_in(tmp_path: Path) -> None:
    ca = AUTHORITY.ca.encode()
    known = grpc.ssl_channel_credentials(ca, GATEWAY.key.encode(), GATEWAY.chain.encode())
    settings: dict[str, Any] = {**files(tmp_path), "tls_client_ca": AUTHORITY.write_ca(tmp_path)}
    async with running(**settings) as served:
        assert await models(served.replica.port, "replica", known) == 1
        with pytest.raises(aio.AioRpcError):
            await models(served.replica.port, "replica", grpc.ssl_channel_credentials(ca))


async def test_a_new_certificate_holds_for_new_connections_and_a_broken_one_never(tmp_path: Path) -> None:
    trusting = grpc.ssl_channel_credentials(AUTHORITY.ca.encode())
    async with running(**files(tmp_path, "first")) as served:
        port = served.replica.port
        assert await models(port, "first", trusting) == 1
        (tmp_path / "own.key").write_text("not a key")
        assert await models(port, "first", trusting) == 1
        files(tmp_path, "second")
        assert await models(port, "second", trusting) == 1
        with pytest.raises(aio.AioRpcError):
            await models(port, "first", trusting)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"tls_cert": "none"}, "tls_cert: FOLDER/none: No such file or directory"),
        ({"tls_cert": "own.key"}, "tls_cert: FOLDER/own.key: has no certificate in PEM, or a broken one"),
        ({"tls_key": "own.pem"}, "tls_key: FOLDER/own.pem: has no private key in PEM without a passphrase"),
        ({"tls_key": "other.key"}, "tls_key: FOLDER/other.key: is not the key of the certificate in FOLDER/own.pem"),
        ({"tls_client_ca": "own.key"}, "tls_client_ca: FOLDER/own.key: has no certificate in PEM, or a broken one"),
    ],
)
def test_wrong_files_are_told_in_one_line(tmp_path: Path, changes: dict[str, str], complaint: str) -> None:
    write(GATEWAY, tmp_path, "other")
    settings = msgspec.structs.replace(SETTINGS, **files(tmp_path))
    settings = msgspec.structs.replace(settings, **{name: str(tmp_path / file) for name, file in changes.items()})
    with pytest.raises(SettingsError) as refused:
        Certificates(settings)
    assert str(refused.value).replace(str(tmp_path), "FOLDER") == complaint


@pytest.mark.parametrize("alone", ["tls_cert", "tls_key", "tls_client_ca"])
def test_a_certificate_needs_its_key_and_an_authority_needs_both(alone: str) -> None:
    with pytest.raises(ValueError, match="tls_"):
        msgspec.convert({"model": "m", alone: "file"}, type(SETTINGS))
