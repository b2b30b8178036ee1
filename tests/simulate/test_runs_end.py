"""Processes that replay do not outlive the one that started them, however it ends."""

import os
import subprocess
import sys
from pathlib import Path
from select import select

import pytest

# The parent starts one process as a pool does, which tells its id once it lives with the parent; then it waits.
PARENT = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from controlplane.simulate.runs import _live_with_the_parent

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=_live_with_the_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    input()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="asks Linux of another process")
def test_a_killed_parent_takes_its_processes_along(tmp_path: Path) -> None:
    """Also one that was killed without a chance to say goodbye."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended, _, _ = select([child], [], [], 20)
    os.close(child)
    assert ended
