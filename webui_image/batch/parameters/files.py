"""What a parameters file may name: files beside it or below and nothing else, so that a stranger's is safe."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Protocol

from webui_image.batch.parameters.problems import Wrong, quoted


class Files(Protocol):
    """The folder of a parameters file, wherever it is."""

    def read(self, path: str, limit: int) -> bytes:
        """Give a file's content. Raises Wrong for what is not there, not below the folder, or beyond `limit` bytes."""
        ...


class LocalFiles:
    """A folder on this machine; links that lead out of it are refused as well."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def read(self, path: str, limit: int) -> bytes:
        """Give a file's content."""
        if "://" in path or path.startswith(("data:", "~")):
            raise Wrong(f"{quoted(path)} is no local path", "put the file beside the parameters file and name it")
        try:
            found = (self._folder / path).resolve()
            if Path(path).is_absolute() or not found.is_relative_to(self._folder):
                raise Wrong(f"{quoted(path)} leads out of the folder", "name a file below the parameters file's folder")
            facts = found.stat()
            if not stat.S_ISREG(facts.st_mode):
                raise Wrong(f"{quoted(path)} is no file", "name a file")
            with found.open("rb") as opened:
                content = opened.read(min(limit, facts.st_size) + 1)
        except FileNotFoundError:
            raise Wrong(f"{quoted(path)} does not exist", "paths start at the parameters file's folder") from None
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Wrong(f"{quoted(path)} cannot be read: {reason}", "look at its name and permissions") from None
        if len(content) > limit:
            raise Wrong(f"{quoted(path)} is larger than {limit // 2**20} MiB", "make it smaller or split it")
        return content


class Digests:
    """SHA-256 of the files that many pictures start from, each read once."""

    def __init__(self, files: Files, limit: int) -> None:
        self._files = files
        self._limit = limit
        self._known: dict[str, str | Wrong] = {}

    def of(self, path: str) -> str:
        """Give the digest of a file's content. Raises Wrong as `Files.read` does."""
        found = self._known.get(path)
        if found is None:
            try:
                found = hashlib.sha256(self._files.read(path, self._limit)).hexdigest()
            except Wrong as wrong:
                found = wrong
            self._known[path] = found
        if isinstance(found, Wrong):
            raise found
        return found


def decode(content: bytes) -> str:
    """Give text from UTF-8, with or without a byte order mark. Raises Wrong with the line of what is none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Wrong("is not UTF-8 text", "save it as UTF-8", line=line) from None
    return text.replace("\r\n", "\n")
