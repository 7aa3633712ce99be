import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Generator[Path, None, None]:
    """A directory for sockets that no other gateway of this user has, with a path short enough for them."""
    with tempfile.TemporaryDirectory(prefix="gw-") as directory:
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        yield Path(directory, "inference-gateway")
