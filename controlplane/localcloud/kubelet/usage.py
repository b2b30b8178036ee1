"""What the processes of containers have used of the CPU so far, as the kernel tells it in /proc.

A container is a process with all that it started. What has ended and been waited for is in the account of its parent.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    """Give the seconds of CPU time of each process with its descendants; those that are gone are left out."""
    used, children = _everything()
    return {pid: _with_descendants(pid, used, children) for pid in pids if pid in used}


def _everything() -> tuple[dict[int, float], dict[int, list[int]]]:
    """Give every process' own seconds, and who began whom."""
    used: dict[int, float] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text("utf-8", "replace")
        except OSError:
            continue  # it has ended meanwhile
        # The name in parentheses may hold anything, so fields are counted from behind it (proc(5)).
        fields = text.rpartition(")")[2].split()
        pid = int(entry.name)
        children[int(fields[1])].append(pid)
        used[pid] = sum(map(int, fields[11:15])) / _TICKS
    return used, children


def _with_descendants(pid: int, used: dict[int, float], children: dict[int, list[int]]) -> float:
    total, left = 0.0, [pid]
    while left:
        one = left.pop()
        total += used.get(one, 0.0)
        left += children.get(one, ())
    return total
