"""The programs of this project as processes of their own, each with the line by which it says where it listens."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

LISTENING = re.compile(rb"listening on (\S+)")
DEADLINE_S = 60.0


class Program:
    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log
        self.address = ""

    @property
    def log(self) -> str:
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()

    async def until_listening(self) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            said = await self.process.stdout.readline()
        found = LISTENING.search(said)
        assert found, self.log
        self.address = found[1].decode()


async def start(arguments: Sequence[str], log: Path) -> Program:
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    return Program(process, log)


@asynccontextmanager
async def running(arguments: Sequence[str], log: Path) -> AsyncGenerator[Program, None]:
    """Killed at the end, unless it has ended."""
    program = await start(arguments, log)
    try:
        await program.until_listening()
        yield program
    finally:
        if program.process.returncode is None:
            program.process.kill()
        await program.process.wait()


def replica_arguments(address: str = "127.0.0.1:0", *more: str) -> list[str]:
    return ["replica", "--model", "m", "--listen", address, "--metrics-listen", "none", *more]
