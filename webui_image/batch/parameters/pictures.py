"""What a parameters file comes to: every picture by itself, complete, under a name that a second run gives it again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from webui_image.values.generation import Generation, MaskFill, ResizeMode


@dataclass(frozen=True, slots=True)
class MaskFile:
    """The mask's file and how it is used; as `values.generation.Mask`."""

    path: str
    sha256: str
    blur: int = 4
    fill: MaskFill = MaskFill.ORIGINAL
    only_masked: bool = False
    padding: int = 0
    invert: bool = False


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The file that a picture starts from, relative to the parameters file; as `values.generation.Source`."""

    path: str
    sha256: str
    denoising_strength: float = 0.75
    resize_mode: ResizeMode = ResizeMode.STRETCH
    mask: MaskFile | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to be made: a Generation of count 1, whose source is still a file."""

    index: int  # from 0, over the whole file
    file: str  # where it is written, for errors
    line: int
    generation: Generation
    source: SourceFile | None = None

    @property
    def file_name(self) -> str:
        """The picture's file below the batch's folder."""
        return f"{self.index:05d}-{self.generation.seed}.png"

    def digest(self, model: str = "") -> str:
        """Give a SHA-256 that changes when the picture would: all that is not default, and files by their content.

        `model` is what is drawn with where the file names none.
        """
        facts = _facts(self.generation)
        if model and not self.generation.model:
            facts["model"] = model
        if self.source is not None:
            source = _facts(self.source)
            del source["path"]
            if self.source.mask is not None:
                source["mask"] = _facts(self.source.mask)
                del source["mask"]["path"]
            facts["source"] = source
        text = json.dumps(facts, sort_keys=True, default=_facts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Batch:
    """A whole parameters file, read and checked."""

    name: str  # of the folder below --out
    file: str
    sha256: str  # of the file's content
    pictures: tuple[Picture, ...]


def _facts(value: Any) -> dict[str, Any]:
    """Give what is not default: fields that are added later leave the digests of today's pictures alone."""
    facts = {}
    for field, default in _fields(type(value)):
        found = getattr(value, field)
        if found != default:
            facts[field] = found
    return facts


_KNOWN: dict[type, list[tuple[str, Any]]] = {}


def _fields(kind: type) -> list[tuple[str, Any]]:
    if kind not in _KNOWN:
        _KNOWN[kind] = [(field.name, _default(field)) for field in dataclasses.fields(kind)]
    return _KNOWN[kind]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
