"""The demo's command line."""

import argparse
import asyncio
import signal
import sys
from dataclasses import replace

from rich.console import Console

import benchmarks.demo
from benchmarks.demo.app import run
from benchmarks.demo.setups import SETUPS, Setup
from benchmarks.processes import NotReady


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.demo", description=benchmarks.demo.__doc__)
    parser.add_argument("--engine", choices=SETUPS, default="simulated")
    parser.add_argument("--conversations", type=int, metavar="N", help="how many agents work; 40 by default")
    arguments = parser.parse_args()
    setup = SETUPS[arguments.engine]()
    if arguments.conversations is not None:
        setup = replace(setup, workload=replace(setup.workload, conversations=max(1, arguments.conversations)))
    code = 1
    try:
        code = asyncio.run(_until_terminated(setup))
    except* KeyboardInterrupt:
        code = 130
    except* asyncio.CancelledError:
        code = 143
    except* NotReady as group:
        sys.stderr.write("".join(f"demo: {error}\n" for error in group.exceptions))
    except* TimeoutError:
        sys.stderr.write(f"demo: not done in {setup.longest_s:g} s\n")
    return code


async def _until_terminated(setup: Setup) -> int:
    """Take SIGTERM as Ctrl-C is taken: everything is ended on the way out."""
    demo = asyncio.current_task()
    assert demo is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, demo.cancel)
    return await run(setup, Console(highlight=False))
