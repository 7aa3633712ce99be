import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.gateway.relay.world import World

NewWorld = Callable[..., World]


@asynccontextmanager
async def a_world(**settings: Any) -> AsyncIterator[World]:
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


@pytest.fixture
async def worlds() -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def new(**settings: Any) -> World:
            return await stack.enter_async_context(a_world(**settings))

        yield new
