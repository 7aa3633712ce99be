"""One replica as a process and one engine in this process, each for the whole session: a start takes half a minute.

Where vLLM is not installed nothing here is collected: `make test-vllm` runs these tests in .venv-vllm.
"""

import os
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from grpc import aio

from benchmarks.processes import Processes
from tests.serving.conftest import grpc_keeps_its_poller
from tests.vllm.setting import ENVIRONMENT, START_S, replica_command

__all__ = ("engine", "engine_settings", "grpc_keeps_its_poller", "leaves_nothing_running", "llm", "loads")

collect_ignore_glob: list[str] = []
if find_spec("vllm") is None:
    collect_ignore_glob.append("test_*.py")
else:
    os.environ.update(ENVIRONMENT)
    with warnings.catch_warnings():
        # vLLM and what it imports are full of them.
        warnings.simplefilter("ignore")
        from tests.vllm.engines import engine, engine_settings, leaves_nothing_running, llm, loads

FOLDER = Path(__file__).parent
UNCLOSED = "ignore:Unclosed context:ResourceWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.filterwarnings("default", "error:::(serving|gateway|tests)", UNCLOSED))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model."""
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([sys.executable, "scripts/tiny_model.py", folder], check=True, cwd=FOLDER.parent.parent)
    return folder


@pytest.fixture(scope="session")
def vllm_replica(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a replica that serves the tiny model as `tiny`, alone."""
    with Processes(tmp_path_factory.mktemp("replica"), grace_s=15.0) as processes:
        replica = processes.start("replica", replica_command(tiny_model), dict(ENVIRONMENT))
        yield replica.wait_for_line(timeout_s=START_S)[1]


@pytest.fixture(scope="session")
async def channel(anyio_backend: str, vllm_replica: str) -> AsyncIterator[aio.Channel]:
    """To `vllm_replica`. While it is open, grpcio opens and closes no descriptors of its own as it pleases."""
    async with aio.insecure_channel(vllm_replica) as channel:
        await channel.channel_ready()
        yield channel
