"""One bucket's folder: its files as objects, in the order of their names.

Nothing about an object is kept but its file: the generation is the time of the last change in microseconds, as
Google's generations are, and the rest follows from the content. So a file that somebody copies in, changes or deletes
is an object that came, changed or went, and there is nothing that could disagree with the folder. What a program puts
is moved into place once it is whole, later than whatever was there.
"""

import base64
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controlplane.localcloud.gcp.errors import invalid
from controlplane.localcloud.gcp.storage.names import path_of, text_of

_BLOCK = 1024 * 1024
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Item:
    """An object. generation: microseconds since 1970."""

    name: str
    path: Path
    size: int
    generation: int


class Shelf:
    """The objects of one bucket. Names are object names; all methods raise GoogleError for what is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._latest = 0
        self._hashes: dict[tuple[str, int, int], str] = {}

    def find(self, name: str) -> Item | None:
        """Give an object."""
        return _item(name, self.folder / path_of(name))

    def walk(self, prefix: str = "", after: str = "") -> Iterator[Item]:
        """Give the objects whose names begin with this and come behind that, in the order of their names."""
        yield from self._walk(self.folder, "", prefix, after)

    def put(self, name: str, content: Path, now: datetime) -> Item:
        """Move a file in as this object, in the place of one of that name."""
        path = self.folder / path_of(name)
        old = _item(name, path)
        generation = max(int(now.timestamp() * 1e6), self._latest + 1, 0 if old is None else old.generation + 1)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.utime(content, ns=(generation * 1000, generation * 1000))
            content.replace(path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            text = "The local cloud keeps objects as files: one name cannot be another's folder."
            raise invalid(f"{text} {name} clashes with an object that is there.") from error
        self._latest = generation
        return Item(name, path, path.stat().st_size, generation)

    def remove(self, item: Item) -> None:
        """Delete an object, and the folders that it leaves empty."""
        item.path.unlink(missing_ok=True)
        for folder in item.path.parents:
            if folder == self.folder or any(folder.iterdir()):
                return
            folder.rmdir()

    def hash(self, item: Item) -> str:
        """Give the MD5 of an object's content, as the API writes it."""
        key = (item.name, item.generation, item.size)
        if key not in self._hashes:
            if len(self._hashes) >= _REMEMBERED:
                self._hashes.clear()
            digest = hashlib.md5(usedforsecurity=False)
            with item.path.open("rb") as opened:
                while block := opened.read(_BLOCK):
                    digest.update(block)
            self._hashes[key] = base64.b64encode(digest.digest()).decode()
        return self._hashes[key]

    def _walk(self, folder: Path, above: str, prefix: str, after: str) -> Iterator[Item]:
        found: list[tuple[str, Path, bool]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    text = text_of(entry.name)
                    if text is not None and not entry.is_symlink():
                        inner = entry.is_dir()
                        found.append((f"{above}{text}/" if inner else above + text, Path(entry.path), inner))
        except (FileNotFoundError, NotADirectoryError):
            return
        # A folder's name counts with its slash: so this is the order of the whole names.
        for name, path, inner in sorted(found):
            if inner and (name.startswith(prefix) or prefix.startswith(name)):
                if name >= after or after.startswith(name):
                    yield from self._walk(path, name, prefix, after)
            elif not inner and name.startswith(prefix) and name > after:
                item = _item(name, path)
                if item is not None:
                    yield item


def _item(name: str, path: Path) -> Item | None:
    try:
        facts = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return Item(name, path, facts.st_size, facts.st_mtime_ns // 1000)
