"""Hatchling build hook: compiles the modules that every token passes with mypyc, from the same source.

    make compiled       # build/compiled: the project as a wheel carries it, compiled

Off by default, so that `pip install` needs no C compiler; where HATCH_BUILD_HOOK_ENABLE_CUSTOM=true asks for it, the
wheel is for one Python and platform. The sources stay in it beside the compiled modules.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypycify
from setuptools import Distribution

HOT = (
    "gateway/dialects/base.py",
    "gateway/dialects/inference_v1.py",
    "gateway/dialects/table.py",
    "gateway/dialects/wire.py",
    "gateway/dispatch/admission.py",
    "gateway/dispatch/dispatch.py",
    "gateway/dispatch/parked.py",
    "gateway/dispatch/prefix_index/chain.py",
    "gateway/dispatch/prefix_index/holders.py",
    "gateway/dispatch/prefix_index/prompts.py",
    "gateway/dispatch/routes.py",
    "gateway/fleet/counters.py",
    "gateway/fleet/fleet.py",
    "gateway/fleet/leases.py",
    "gateway/fleet/pace.py",
    "gateway/fleet/replica.py",
    "gateway/fleet/shared_counters.py",
    "gateway/fleet/unseen.py",
    "gateway/fleet/views.py",
    "gateway/http2/block.py",
    "gateway/http2/budget.py",
    "gateway/http2/codec.py",
    "gateway/http2/connection.py",
    "gateway/http2/control.py",
    "gateway/http2/decoder.py",
    "gateway/http2/field_rules.py",
    "gateway/http2/frames.py",
    "gateway/http2/guard.py",
    "gateway/http2/huffman.py",
    "gateway/http2/inbound.py",
    "gateway/http2/kind.py",
    "gateway/http2/limits.py",
    "gateway/http2/outbound.py",
    "gateway/http2/passage.py",
    "gateway/http2/preface.py",
    "gateway/http2/settings.py",
    "gateway/http2/streams.py",
    "gateway/instruments.py",
    "gateway/policies/bounded.py",
    "gateway/policies/columns.py",
    "gateway/policies/fading.py",
    "gateway/policies/lowest.py",
    "gateway/policies/remembered.py",
    "gateway/policies/rendezvous.py",
    "gateway/policies/waiting.py",
    "gateway/policies/weights.py",
    "gateway/relay/agent_connection.py",
    "gateway/relay/attempt.py",
    "gateway/relay/backlog.py",
    "gateway/relay/deadline.py",
    "gateway/relay/endings.py",
    "gateway/relay/exchange.py",
    "gateway/relay/flusher.py",
    "gateway/relay/memory.py",
    "gateway/relay/metrics.py",
    "gateway/relay/patience.py",
    "gateway/relay/phases.py",
    "gateway/relay/pool.py",
    "gateway/relay/relay.py",
    "gateway/relay/replica_connection.py",
    "gateway/relay/request_body.py",
    "gateway/relay/route_metrics.py",
    "gateway/relay/routing.py",
    "gateway/relay/socket_connection.py",
    "gateway/relay/turns.py",
    "gateway/relay/witness.py",
    "gateway/rpc/call.py",
    "gateway/rpc/framing.py",
    "gateway/rpc/metadata.py",
    "gateway/rpc/orca.py",
    "gateway/rpc/report_layout.py",
    "gateway/rpc/reports.py",
    "gateway/rpc/timeouts.py",
    "gateway/view_columns.py",
)


class CompileHotLoop(BuildHookInterface[Any]):
    """Named in pyproject.toml. Writes nothing into the source tree, where a compiled module would hide its source."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._folder = TemporaryDirectory()
        for module in compile_modules(Path(self.root), Path(self._folder.name)):
            build_data["force_include"][str(module)] = str(module.relative_to(Path(self._folder.name) / "lib"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()


def compile_modules(root: Path, folder: Path) -> list[Path]:
    """Return the compiled modules, under `folder`/lib."""
    before = Path.cwd()
    os.chdir(root)
    try:
        flags = ["--python-version=3.11", "--ignore-missing-imports", "--follow-imports=silent", "--no-incremental"]
        extensions = mypycify([*flags, *HOT], opt_level="3", target_dir=str(folder / "c"), group_name="gateway")
        distribution = Distribution({"name": "inference-gateway", "ext_modules": extensions})
        build = distribution.get_command_obj("build_ext")
        build.build_lib, build.build_temp = str(folder / "lib"), str(folder / "temp")
        distribution.run_command("build_ext")
    finally:
        os.chdir(before)
    return sorted((folder / "lib").rglob("*.so"))
