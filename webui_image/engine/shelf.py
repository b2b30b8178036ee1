"""Files that may be asked for by name: looked up in a folder's listing, so no path ever comes from a user.

A file's SHA-256 is what models are told apart by, and reading gigabytes for it takes seconds; so it is computed once
and remembered with the file's size and time of change, which are what changes when the file does.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import threading
from collections.abc import Iterable
from pathlib import Path

import structlog

from webui_image.engine.files import PICKLES
from webui_image.values.ports import Named

__all__ = ["Hashes", "Shelf", "near", "write_atomically"]


class Hashes:
    """SHA-256 of files, remembered in `memory` (a JSON file; None: in this process alone). Safe from any thread."""

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        if memory is not None:
            with contextlib.suppress(OSError, ValueError):
                stored = json.loads(memory.read_text(encoding="utf-8"))
                self._known = {str(key): str(value) for key, value in stored.items()}

    def known(self, path: Path) -> str:
        """Give the file's SHA-256 if it was computed before and the file has not changed since; else an empty text."""
        key = _key(path)
        with self._lock:
            return self._known.get(key, "") if key else ""

    def sha256(self, path: Path) -> str:
        """Give the file's SHA-256, reading it if need be. Raises OSError."""
        known = self.known(path)
        if known:
            return known
        key = _key(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.remember(path, digest, key)
        return digest

    def remember(self, path: Path, digest: str, key: str = "") -> None:
        """Note a digest that was computed elsewhere, e.g. while the file was fetched."""
        with self._lock:
            self._known[key or _key(path)] = digest
            text = json.dumps(self._known, indent=0, sort_keys=True)
        if self._memory is not None:
            with contextlib.suppress(OSError):  # a read-only volume: it is computed again next time
                write_atomically(self._memory, text)


class Shelf:
    """The safetensors files of a folder and its sub-folders, by their names without ending. None: there are none."""

    def __init__(self, folder: Path | None, hashes: Hashes) -> None:
        self.folder = folder
        self._hashes = hashes
        self._paths: dict[str, Path] = {}
        self.refresh()

    def refresh(self) -> None:
        """List the folder anew."""
        found: dict[str, Path] = {}
        for path in sorted(self.folder.rglob("*")) if self.folder is not None and self.folder.is_dir() else ():
            if path.suffix == ".safetensors" and path.is_file():
                found.setdefault(path.stem, path)
            elif path.suffix in PICKLES:
                structlog.get_logger().warning("pickle passed over; convert it to safetensors", file=path.name)
        self._paths = found

    def names(self) -> tuple[str, ...]:
        """Give all names, sorted."""
        return tuple(sorted(self._paths))

    def path(self, name: str) -> Path | None:
        """Give the file of a listed name, None for any other text; case matters only between two such names."""
        if name in self._paths:
            return self._paths[name]
        return next((path for known, path in self._paths.items() if known.lower() == name.lower()), None)

    def listing(self) -> tuple[Named, ...]:
        """Give all names with the digests that are known by now; reads no file."""
        return tuple(Named(name, self._hashes.known(self._paths[name])) for name in self.names())


def near(name: str, names: Iterable[str]) -> str:
    """Say which names come near to one that is not there, or which there are: the end of an error message."""
    known = list(names)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    shown = ", ".join(sorted(known)[:8])
    return f"there are: {shown}{', …' if len(known) > 8 else ''}" if known else "there are none"


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees all of it or what was there before. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{threading.get_ident()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _key(path: Path) -> str:
    try:
        facts = path.stat()
    except OSError:
        return ""
    return f"{path}|{facts.st_size}|{facts.st_mtime_ns}"
