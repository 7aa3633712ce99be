"""vLLM's processes end with the replica, even where it is killed."""

import subprocess
import sys
from importlib.metadata import entry_points

import psutil
import pytest

from serving.engines.vllm.orphan import follow_parent

PARENT = """
import multiprocessing, time
from serving.engines.vllm.orphan import follow_parent

def child(pipe):
    follow_parent()
    pipe.send("following")
    time.sleep(600)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(theirs,), daemon=True)
    process.start()
    ours.recv()
    print(process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.e2e
def test_a_process_ends_with_a_parent_that_was_killed(tmp_path_factory: pytest.TempPathFactory) -> None:
    program = tmp_path_factory.mktemp("orphan") / "parent.py"
    program.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    child.wait(timeout=10)


def test_vllm_is_told_of_it() -> None:
    (found,) = entry_points(group="vllm.general_plugins", name="inference-gateway")
    assert found.load() is follow_parent


def test_a_process_without_a_parent_of_that_kind_goes_on() -> None:
    follow_parent()
