"""Lets vLLM's processes end with the replica that started them.

A replica that is killed cannot stop its engine, and vLLM's engine process does not notice: it would keep its memory,
and the GPU's, for ever. vLLM calls what stands in the entry point group `vllm.general_plugins` in each of its
processes.
"""

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait


def follow_parent() -> None:
    """End this process when the one that started it has ended, however that was."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), name="follow-parent", daemon=True).start()


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
