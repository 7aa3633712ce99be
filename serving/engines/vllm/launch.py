"""Starts vLLM."""

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from multiprocessing import active_children, resource_tracker
from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM

from serving.engine import EngineDead
from serving.engines.vllm.load import SchedulerLoads


class Llm(AsyncLLM):
    """AsyncLLM without a finalizer: ours is closed, and vLLM's fails when it runs at the end of the interpreter."""

    def __del__(self) -> None:
        pass


async def launch(arguments: Mapping[str, Any], loads: SchedulerLoads) -> AsyncLLM:
    """Return vLLM with its processes. Raises ValueError for arguments that it does not take, and EngineDead where it
    does not start."""
    check_names(arguments)
    try:
        # Seconds for a tiny model, minutes for a large one: not on the event loop.
        return await asyncio.to_thread(_launch, arguments, loads)
    except RuntimeError as error:
        raise EngineDead(f"vLLM did not start, and wrote above why: {error}") from error
    except asyncio.CancelledError:
        # The thread cannot be cancelled. Without its process it gives up within 10 s; that heeds no other signal yet.
        for process in active_children():
            process.kill()
        raise


def check_names(arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for a name that vLLM does not know."""
    known = [field.name for field in fields(AsyncEngineArgs)]
    for name in arguments:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"engine_args: vLLM's AsyncEngineArgs has no {name}{hint}")


def _launch(arguments: Mapping[str, Any], loads: SchedulerLoads) -> AsyncLLM:
    # Ctrl-C goes to all processes of a terminal; vLLM's would drop the streams that the replica lets finish. They
    # inherit what this thread blocks, and end when the replica tells them, or with it (`orphan`). multiprocessing's
    # tracker comes first: starting it unblocks SIGINT again.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.setdefault("DO_NOT_TRACK", "1")  # usage statistics
    try:
        config = AsyncEngineArgs(**arguments).create_engine_config(UsageContext.OPENAI_API_SERVER)
    except (OSError, ValueError) as error:
        raise ValueError(f"vLLM refuses {arguments['model']!r} or its engine_args: {_one_line(error)}") from error
    return Llm.from_vllm_config(
        config,
        usage_context=UsageContext.OPENAI_API_SERVER,
        stat_loggers=[loads.new_logger],
        enable_log_requests=bool(arguments.get("enable_log_requests")),
        disable_log_stats=bool(arguments.get("disable_log_stats")),
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
