"""Reads a parameters file as a process of its own, and says how long that took and how much memory it came to.

    python -m webui_image.bench.reading FILE

The peak is the kernel's own figure for this process; that of `getrusage` would hold its parent's as well.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from webui_image.clock import SystemClock


def main(path: Path) -> None:
    """Read and check the file; print seconds, MB and the number of pictures as JSON."""
    clock = SystemClock()
    begun = clock.monotonic()
    from webui_image.batch.parameters import read

    batch = read(path)
    seconds = clock.monotonic() - begun
    print(json.dumps({"seconds": seconds, "mb": peak_mb(), "pictures": len(batch.pictures)}))  # noqa: T201


def peak_mb() -> float:
    """Give the most memory that this process has had, in MB; 0 where the kernel does not say."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
