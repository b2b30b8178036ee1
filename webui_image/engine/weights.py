"""`MODEL_URI` becomes local files, as fast as the network allows and never half.

Object stores give one connection a fraction of what a machine can take, so files are fetched in ranges, eight at a
time. Each finished range is noted beside the file, with the size and the entity tag that the store gave; a restarted
replica goes on where the last one stopped, and starts over where the file has changed meanwhile. A file gets its name
when it is complete and its digest is right. Runs in a thread of its own, while another imports torch.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui_image.clock import Clock
from webui_image.engine.remote import Remote, RemoteFile, open_remote
from webui_image.engine.shelf import write_atomically
from webui_image.values.errors import ModelError

__all__ = ["Fetch", "local_path"]

_RANGE = 8 << 20
_AT_ONCE = 8
_TRIES = 4
_SUMS = "SHA256SUMS"

Progress = Callable[[int, int], None]


def local_path(uri: str) -> Path | None:
    """Give a MODEL_URI that needs no fetching as a path, None for one that does."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri)
    return Path(rest) if scheme == "file" else None


@dataclass(frozen=True, slots=True)
class Fetch:
    """How to fetch: into which folder, how to wait between tries, and what ends it early."""

    cache: Path
    clock: Clock
    stop: threading.Event
    offline: bool = False
    prefer_half: bool = True  # fp16 files where a part has both

    def __call__(self, uri: str, progress: Progress = lambda _done, _total: None, sha256: str = "") -> Path:
        """Give a local directory or file that holds what `uri` names, fetching what is missing.

        `progress` gets bytes done and in all, from any thread. `sha256` is the file's, or of a directory that of its
        SHA256SUMS file, which then has to name every file. Raises ModelError.
        """
        local = local_path(uri)
        if local is not None:
            return local
        remote = open_remote(uri, offline=self.offline, prefer_half=self.prefer_half)
        folder = self.cache / hashlib.sha256(uri.encode()).hexdigest()[:16]
        target = folder / remote.name
        with self._alone(folder):
            self._check_space(remote, target)
            if remote.is_file:
                counter = _Counter(remote.files, progress)
                self._file(remote, remote.files[0], target, sha256, counter)
            else:
                self._directory(remote, target, sha256, progress)
        return target

    def _directory(self, remote: Remote, target: Path, sha256: str, progress: Progress) -> None:
        counter = _Counter(remote.files, progress)
        sums: Mapping[str, str] = {}
        listed = next((file for file in remote.files if file.path == _SUMS), None)
        if sha256 and listed is None:
            raise ModelError(
                remote.uri, f"a digest is given, but there is no {_SUMS} to check with it; write one with sha256sum"
            )
        if listed is not None:
            self._file(remote, listed, target / _SUMS, sha256, counter)
            sums = _read_sums(target / _SUMS)
        for file in remote.files:
            if file.path == _SUMS:
                continue
            if sums and file.path not in sums:
                raise ModelError(f"{remote.uri}/{file.path}", f"not listed in {_SUMS}; list it or take it away")
            self._file(remote, file, target / file.path, sums.get(file.path, ""), counter)

    def _file(self, remote: Remote, file: RemoteFile, target: Path, sha256: str, counter: _Counter) -> None:
        facts = {"size": file.size, "tag": file.tag, "sha256": sha256}
        notes = target.with_name(f".{target.name}.fetched.json")
        if target.is_file() and target.stat().st_size == file.size and _read_json(notes) == facts:
            counter.add(file.size)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        self._ranges(remote, file, part, counter)
        if sha256:
            with part.open("rb") as whole:
                found = hashlib.file_digest(whole, "sha256").hexdigest()
            if found != sha256.lower():
                part.unlink()
                raise ModelError(
                    f"{remote.uri}: {file.path}", f"its SHA-256 is {found}, not {sha256}; the file is not the one meant"
                )
        part.replace(target)
        write_atomically(notes, json.dumps(facts))

    def _ranges(self, remote: Remote, file: RemoteFile, part: Path, counter: _Counter) -> None:
        journal = part.with_suffix(".ranges.json")
        begun = _read_json(journal)
        same = part.is_file() and begun.get("tag") == file.tag and begun.get("size") == file.size
        done: set[int] = set(begun.get("done", ())) if same else set()
        counter.add(sum(min(_RANGE, file.size - start) for start in done))
        lock = threading.Lock()
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, file.size)

            def fetch(start: int) -> None:
                end = min(start + _RANGE, file.size)
                data = self._one_range(remote, file, start, end)
                os.pwrite(descriptor, data, start)
                with lock:
                    done.add(start)
                    write_atomically(journal, json.dumps({"tag": file.tag, "size": file.size, "done": sorted(done)}))
                counter.add(end - start)

            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
                starts = [start for start in range(0, file.size, _RANGE) if start not in done]
                for _ in pool.map(fetch, starts):
                    pass
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        journal.unlink(missing_ok=True)

    def _one_range(self, remote: Remote, file: RemoteFile, start: int, end: int) -> bytes:
        for attempt in range(1, _TRIES + 1):
            if self.stop.is_set():
                raise ModelError(remote.uri, "fetching was stopped; it goes on here next time")
            try:
                data = remote.read(file, start, end)
                if len(data) == end - start:
                    return data
                reason = f"{len(data)} of {end - start} bytes came"
            except Exception as error:  # noqa: BLE001 - each store has its own classes
                reason = f"{type(error).__name__}: {error}"[:256]
            if attempt < _TRIES:
                self.clock.wait(self.stop, 0.5 * 2**attempt)
        raise ModelError(f"{remote.uri}: {file.path}", f"cannot be read after {_TRIES} tries: {reason}")

    def _check_space(self, remote: Remote, target: Path) -> None:
        root = target if remote.is_file else target / "."
        missing = sum(
            file.size for file in remote.files if not (root if remote.is_file else target / file.path).exists()
        )
        self.cache.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.cache).free
        if missing > free:
            raise ModelError(
                str(self.cache), f"{missing:,} bytes to fetch, {free:,} free; give the cache a larger volume"
            )

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Keep other processes that share the volume out; the one that waits then finds everything there."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class _Counter:
    """Counts bytes of all files together."""

    def __init__(self, files: tuple[RemoteFile, ...], progress: Progress) -> None:
        self._total = sum(file.size for file in files)
        self._done = 0
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            done = self._done
        self._progress(done, self._total)


def _read_sums(path: Path) -> dict[str, str]:
    sums: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        digest, _, name = line.partition(" ")
        if len(digest) != 64 or not name.strip():
            raise ModelError(f"{path}:{number}", "not a line as sha256sum writes it")
        sums[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    return sums


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
