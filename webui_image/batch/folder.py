"""The folder of a batch's results: what stands there already, what is missing, and nobody else at work in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from webui_image.batch.parameters import Picture
from webui_image.batch.written import PART, Facts, facts_of, sync_folder
from webui_image.values.errors import WebUIError

_PICTURE = re.compile(r"[0-9]{5}-[0-9]{1,10}\.png")
_LOCK = ".lock"


class FolderBusy(WebUIError):  # noqa: N818
    """Another run is at work in the folder; wait for it, or end it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a folder holds, against what a batch asks for."""

    done: dict[int, Facts]  # by the picture's index
    movable: dict[int, Path]  # pictures that stand under another name, because the file was edited
    stale: tuple[str, ...]  # pictures of ours that the batch does not ask for any more


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder, and sweep what a killed one left half-written. Raises FolderBusy."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderBusy(f"{folder}: another run is at work there; wait for it or end it") from None
        for left in folder.glob(f".*{PART}"):
            left.unlink(missing_ok=True)
        yield


def standing(
    folder: Path, pictures: Sequence[Picture], *, model: str = "", hashes: Callable[[str], str] = lambda _: ""
) -> Standing:
    """Compare the folder with the batch. A picture made with other parameters, or other weights, counts as missing.

    `hashes` gives the hash of a model's weights, or an empty text where it is not known yet.
    """
    found = {path.name: facts for path in _pictures(folder) if (facts := facts_of(path)) is not None}
    valid = {name: facts for name, facts in found.items() if _fresh(facts, hashes)}
    by_digest = {facts.digest: name for name, facts in valid.items()}
    done: dict[int, Facts] = {}
    movable: dict[int, Path] = {}
    wanted = set()
    for picture in pictures:
        digest = picture.digest(model)
        wanted.add(picture.file_name)
        here = valid.get(picture.file_name)
        if here is not None and here.digest == digest:
            done[picture.index] = here
        elif digest in by_digest:
            movable[picture.index] = folder / by_digest[digest]
    moved = {path.name for path in movable.values()}
    return Standing(done, movable, tuple(sorted(set(found) - wanted - moved)))


def move(folder: Path, standing: Standing, pictures: Sequence[Picture]) -> dict[int, Facts]:
    """Bring the movable pictures under their new names; those that nothing asks for under the old name go."""
    parts: dict[int, Path] = {}
    for index, source in standing.movable.items():  # all are set aside first: a name may be both old and new
        parts[index] = folder / f".{index:05d}-moved{PART}"
        _copy(source, parts[index])
    names = {picture.index: picture.file_name for picture in pictures}
    moved: dict[int, Facts] = {}
    for index, part in parts.items():
        target = folder / names[index]
        part.replace(target)
        facts = facts_of(target)
        if facts is not None:
            moved[index] = facts
    for source in set(standing.movable.values()) - {folder / name for name in names.values()}:
        source.unlink(missing_ok=True)
    sync_folder(folder)
    return moved


def _pictures(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _PICTURE.fullmatch(path.name)]
    except FileNotFoundError:
        return []


def _fresh(facts: Facts, hashes: Callable[[str], str]) -> bool:
    known = hashes(facts.model)
    return not known or not facts.model_hash or known.startswith(facts.model_hash)


def _copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
