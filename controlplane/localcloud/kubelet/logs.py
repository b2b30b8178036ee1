"""Reading container logs back, as `kubectl logs` asks: the end of them, since when, with times, and following."""

import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from controlplane.localcloud.clock import Clock, rfc3339

POLL_SECONDS = 0.2
BLOCK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a log is wanted."""

    follow: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    timestamps: bool = False


async def read_log(
    current: Callable[[], Path], running: Callable[[], bool], options: LogOptions, clock: Clock
) -> AsyncIterator[bytes]:
    """Give the log, and while the container runs, what comes after."""
    path = current()
    lines, position = _present(path)
    if options.since_seconds is not None:
        since = _floor(clock.now() - timedelta(seconds=options.since_seconds))
        lines = [line for line in lines if line[:19] >= since]
    if options.tail_lines is not None:
        lines = lines[-options.tail_lines :] if options.tail_lines > 0 else []
    if text := render(lines, timestamps=options.timestamps):
        yield text
    rest = b""
    while options.follow:
        alive = running()
        data, position = _more(path, position)
        if data:
            *lines, rest = (rest + data).split(b"\n")
            if text := render(lines, timestamps=options.timestamps):
                yield text
        elif not alive:
            return
        elif current() != path:
            path, position, rest = current(), 0, b""
        else:
            await clock.sleep(POLL_SECONDS)


def render(lines: Iterable[bytes], *, timestamps: bool) -> bytes:
    """Give the text of log lines, with their times where they are wanted; partial lines are joined."""
    parts = []
    for line in lines:
        fields = line.split(b" ", 3)
        if len(fields) == 4:
            time, _, tag, text = fields
            parts.append((time + b" " if timestamps else b"") + text + (b"\n" if tag == b"F" else b""))
    return b"".join(parts)


def _present(path: Path) -> tuple[list[bytes], int]:
    older = path.with_name(path.name + ".1")
    before = older.read_bytes() if older.exists() else b""
    data = path.read_bytes() if path.exists() else b""
    whole = data[: data.rfind(b"\n") + 1]
    return (before + whole).splitlines(), len(whole)


def _more(path: Path, position: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < position:  # turned over
                position = 0
            file.seek(position)
            data = file.read(BLOCK_BYTES)
    except OSError:
        return b"", position
    return data, position + len(data)


def _floor(instant: datetime) -> bytes:
    return rfc3339(instant)[:19].encode()
