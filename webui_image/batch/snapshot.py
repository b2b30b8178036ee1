"""A parameters file with all that it names, read once, so that it can be put where nobody changes it any more.

Whoever starts a batch from a file that somebody dropped somewhere needs this: prompt lists and pictures may be
exchanged while workers come and go, and each of them reads the file for itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from webui_image.batch.parameters import ParametersError, Problem, parse
from webui_image.batch.parameters.limits import FILE_BYTES
from webui_image.batch.places import Place, PlaceFiles, plain


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file that was read and checked.

    name: of the results' folder. digest: SHA-256 of the file, whatever it is called, and of all that it names.
    pixel_steps: of all pictures. files: these, by name below the folder.
    """

    name: str
    digest: str
    pictures: int
    pixel_steps: int
    files: Mapping[str, bytes] = field(repr=False)


def snapshot(place: Place, name: str) -> Snapshot:
    """Read and check a file of a folder. Raises ParametersError with every problem, and what the place raises."""
    content = place.read(name, FILE_BYTES)
    if content is None:
        raise ParametersError([Problem(name, 0, "", "does not exist", "look at the address")])
    if len(content) > FILE_BYTES:
        what = f"is larger than {FILE_BYTES // 2**20} MiB"
        raise ParametersError([Problem(name, 0, "", what, "make it smaller or split it")])
    files = _Recorded(place)
    batch = parse(content, name, files)
    digest = hashlib.sha256(content)
    for path, body in sorted(files.found.items()):
        digest.update(f" {path} {len(body)} ".encode() + body)
    work = sum(picture.generation.pixel_steps for picture in batch.pictures)
    return Snapshot(batch.name, digest.hexdigest(), len(batch.pictures), work, {name: content, **files.found})


class _Recorded:
    """What a file names, remembered as it is read."""

    def __init__(self, place: Place) -> None:
        self._files = PlaceFiles(place)
        self.found: dict[str, bytes] = {}

    def read(self, path: str, limit: int) -> bytes:
        content = self._files.read(path, limit)
        self.found[plain(path)] = content
        return content
