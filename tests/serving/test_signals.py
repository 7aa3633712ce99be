import asyncio
import os
import signal

import pytest

from serving.signals import Signals

pytestmark = pytest.mark.anyio

BOTH = (signal.SIGTERM, signal.SIGINT)


async def test_each_block_is_ended_by_one_signal() -> None:
    with Signals.of(asyncio.get_running_loop(), BOTH) as signals:
        async with signals.interruption():
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        assert signals.status == 0
        async with signals.interruption():
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        assert signals.status == 128 + signal.SIGINT


async def test_a_signal_between_two_blocks_ends_the_second_one() -> None:
    signals = Signals(asyncio.get_running_loop())
    async with signals.interruption():
        await asyncio.sleep(0)
    signals.deliver(signal.SIGTERM)
    async with signals.interruption():
        await asyncio.Event().wait()
    async with signals.interruption():
        await asyncio.sleep(0)
        signals.deliver(signal.SIGTERM)
        await asyncio.Event().wait()


async def test_two_signals_at_once_end_two_blocks() -> None:
    signals = Signals(asyncio.get_running_loop())
    for _ in range(2):
        signals.deliver(signal.SIGTERM)
    for _ in range(2):
        async with signals.interruption():
            await asyncio.Event().wait()


async def test_a_timeout_inside_is_not_taken_for_a_signal() -> None:
    signals = Signals(asyncio.get_running_loop())
    with pytest.raises(TimeoutError):
        async with signals.interruption():
            raise TimeoutError


async def test_a_block_without_a_signal_just_ends() -> None:
    signals = Signals(asyncio.get_running_loop())
    async with signals.interruption():
        await asyncio.sleep(0)
    assert signals.status == 0
