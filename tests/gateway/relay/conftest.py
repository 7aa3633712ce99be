import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.gateway.relay.world import World


@asynccontextmanager
async def a_world(**settings: Any) -> AsyncGenerator[World]:
    """A world that ends with nothing left in it, whatever has happened."""
    async with asyncio.TaskGroup() as tasks:
        world = World(tasks, **settings)
        await world.settle()
        yield world
        await world.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        yield made
