"""Processes that replay do not outlive the one that started them, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from select import select

import pytest

# A short replay and one of a hundred million steps, side by side. Whoever is at work when the first is done is told.
PARENT = """
import multiprocessing
from controlplane.simulate.market import Scoring
from controlplane.simulate.runs import Job, run_all
from controlplane.simulate.service import Wish, service_of
from controlplane.simulate.trace import Trace, Zone

def job(interval):
    trace = Trace("t", "gpu", interval, 3.0, (Zone("a", "r", 1.0, (2, 2, 2), "gpu"),))
    return Job("on_demand", service_of(Wish(), trace), trace, Scoring())

if __name__ == "__main__":
    tell = lambda done: print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    run_all([job(600.0), job(1e9)], tell, processes=2)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="asks Linux of another process")
def test_a_killed_parent_takes_its_processes_along(tmp_path: Path) -> None:
    """Also one that was killed without a chance to say goodbye, while they are in the midst of a replay."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        children = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
    alive = []
    for child in children:
        ended, _, _ = select([child], [], [], 20)
        if not ended:
            alive.append(child)
            signal.pidfd_send_signal(child, signal.SIGKILL)
        os.close(child)
    assert children
    assert not alive
