"""What holds for every test: one backend, bounded Hypothesis, and nothing left behind.

AnyIO's plugin runs every async test by itself; its fixture `free_tcp_port` serves where port 0 cannot. A test that
wants uvloop says `@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])`.
"""

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest
import uvloop
from hypothesis import settings

# The same examples at every run: a red build is red for everybody. `HYPOTHESIS_PROFILE=explore` looks further.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=100, database=None)
settings.register_profile("explore", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# A shell that starts this in the background ignores SIGINT for it, and all that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Peers and transports may need some turns of the loop to notice that they are closed.
SETTLING_TIME_S = 1.0


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def libuv_has_its_pipe() -> None:
    """It opens one for signals with its first loop and keeps it for the life of the process."""
    uvloop.new_event_loop().close()


@pytest.fixture(autouse=True)
def leaves_no_descriptors(request: pytest.FixtureRequest) -> Iterator[None]:
    before = open_descriptors()
    yield
    settle(lambda: open_descriptors().keys() <= before.keys())
    leaked = {fd: target for fd, target in open_descriptors().items() if fd not in before}
    assert not leaked, "descriptors left open"
    if request.node.get_closest_marker("e2e"):
        left = psutil.Process().children(recursive=True)
        assert not left, "processes left running"


@pytest.fixture(autouse=True)
def leaves_nothing_behind(leaves_no_descriptors: None, request: pytest.FixtureRequest) -> None:
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("leaves_no_tasks")


@pytest.fixture
async def leaves_no_tasks(anyio_backend: object) -> AsyncIterator[None]:
    before = own_tasks()
    yield
    deadline = time.monotonic() + SETTLING_TIME_S
    while (left := own_tasks() - before) and time.monotonic() < deadline:
        await asyncio.sleep(0)
    assert not left, "tasks left running"


def own_tasks() -> set[asyncio.Task[object]]:
    """All but those by which AnyIO runs fixtures and tests."""
    return {task for task in asyncio.all_tasks() if "TestRunner." not in repr(task.get_coro())}


def open_descriptors() -> dict[int, str]:
    """What each open descriptor is; empty where there is no /proc."""
    found: dict[int, str] = {}
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            found[int(entry.name)] = os.readlink(entry)
        except FileNotFoundError:  # the one that reads the folder
            continue
    return found


def settle(is_settled: Callable[[], bool]) -> None:
    if is_settled():
        return
    gc.collect()
    deadline = time.monotonic() + SETTLING_TIME_S
    while not is_settled() and time.monotonic() < deadline:
        time.sleep(0.01)
