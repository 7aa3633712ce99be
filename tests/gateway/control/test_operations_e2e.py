"""The operators' commands on a real gateway."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.gateway.control.processes import start
from tests.gateway.control.test_app_e2e import Gateway, gateway, replica, rest_of

pytestmark = pytest.mark.e2e


async def said(them: Gateway, tmp_path: Path, *arguments: str, code: int = 0) -> str:
    program = await start([arguments[0], "--admin", str(them.admin), *arguments[1:]], tmp_path / "command.log")
    out, _ = await asyncio.wait_for(program.process.communicate(), 60)
    assert program.process.returncode == code, program.log
    return out.decode() + program.log


async def test_operators_drain_weigh_and_choose_without_a_dropped_stream(tmp_path: Path) -> None:
    async with replica(tmp_path) as first, gateway(tmp_path, "--replica", first.address) as them:
        await them.until_ready()
        call = await them.generate(tokens=2_000)
        name = first.address
        assert await said(them, tmp_path, "drain", name) == f"{name} is drained\n"
        assert await said(them, tmp_path, "drain", name) == f"{name} is drained, as before\n"
        shown = await said(them, tmp_path, "fleet")
        assert re.search(rf"{name}\s+draining", shown), shown
        assert await rest_of(call) > 0
        assert await said(them, tmp_path, "undrain", name) == f"{name} is not drained\n"
        await rest_of(await them.generate(tokens=3))
        assert await said(them, tmp_path, "weight", name, "2.5") == f"{name} has weight 2.5\n"
        assert await said(them, tmp_path, "policy", "round_robin") == "round_robin picks\n"
        assert "policy round_robin" in await said(them, tmp_path, "top", "--interval", "0.1", "--count", "2")
        assert await said(them, tmp_path, "reload") == "changed: policy\n"
        refused = await said(them, tmp_path, "policy", "rondom", code=1)
        assert refused.startswith("inference-gateway policy: policy: 'rondom'")
        unknown = await said(them, tmp_path, "drain", "nobody", code=1)
        assert unknown == "inference-gateway drain: no replica is called 'nobody'\n"
        assert re.findall(r"event=operator action=(\w+) changed=(\w+)", them.program.log) == [
            *(("drain", "yes"), ("drain", "no"), ("undrain", "yes")),
            *(("weight", "yes"), ("policy", "yes"), ("reload", "yes")),
        ]
