"""The memory of the machine, or of the container, where it is told; Linux keeps both in files."""

from __future__ import annotations

from pathlib import Path

_INFO = Path("/proc/meminfo")
_LIMIT = Path("/sys/fs/cgroup/memory.max")
_USED = Path("/sys/fs/cgroup/memory.current")


def system_memory(info: Path = _INFO, limit: Path = _LIMIT, used: Path = _USED) -> dict[str, int | str]:
    """Give `free`, `used` and `total` in bytes, of the container where it has a limit; `error` where nothing tells."""
    try:
        text = limit.read_text().strip()
        if text.isdigit():
            return _shares(int(text), int(used.read_text()))
    except (OSError, ValueError):
        pass  # not in a container, or the older way of limiting it
    try:
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        total, free = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError):
        return {"error": "unavailable"}
    return _shares(total, total - free)


def _shares(total: int, used: int) -> dict[str, int | str]:
    return {"free": max(total - used, 0), "used": used, "total": total}
