"""The benchmark runs, on a machine with whatever is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.overhead import results
from benchmarks.overhead.figures import Figures
from benchmarks.overhead.shapes import IDLE

pytestmark = pytest.mark.e2e

PEERS = ["direct", "gateway", "grpc.aio"]
KINDS = ["burst-64", "steps-64", "paced", "rpc", "rpc-rate", "prompts"]
"""The others are the same with more streams."""


def overhead(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.overhead", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


def test_a_quick_run_has_a_row_for_every_peer_and_shape(tmp_path: Path) -> None:
    file = tmp_path / "overhead.json"
    finished = overhead(
        "--quick", "--peers", ",".join(PEERS), "--shapes", ",".join([*KINDS, IDLE]), "--json", str(file)
    )
    assert finished.returncode == 0, finished.stderr
    run = results.load(file)
    assert run.missing == {}
    assert {(one.shape, one.peer) for one in run.measured} == {(shape, peer) for shape in KINDS for peer in PEERS}
    assert all(one.result.messages > 0 and one.result.unfinished == 0 for one in run.measured)
    assert {idle.peer for idle in run.idle} == {"gateway", "grpc.aio"}
    figures = Figures(run)
    assert all(figures.has_latency(shape) for shape in ("steps-64", "paced", "rpc-rate", "prompts"))

    again = overhead("--report", str(file))
    assert again.stdout == finished.stdout
    assert all(peer in again.stdout for peer in PEERS)


def test_what_cannot_be_measured_is_one_clear_line(tmp_path: Path) -> None:
    unknown = overhead("--peers", "squid")
    assert unknown.returncode == 2
    assert "'squid' is none of direct, gateway" in unknown.stderr
    missing = overhead("--report", str(tmp_path / "none.json"))
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1
