"""Textual inversion embeddings: a name in a prompt that stands for trained vectors instead of words.

Only safetensors files from the configured folder, by file name. An embedding belongs to the width of a text encoder;
one that was trained for another kind of model is passed over with a note in the log, and its name is then ordinary
text, as in A1111.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from webui_image.engine.chunking import CHUNK, Token, Vectors
from webui_image.engine.files import check_safetensors
from webui_image.engine.shelf import Shelf
from webui_image.values.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["EmbeddingTable"]


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    ids: tuple[int, ...]  # the name's own tokens, which it replaces
    vectors: tuple[torch.Tensor, ...]  # (n, D) for each text encoder


class EmbeddingTable:
    """The embeddings that fit one model's text encoders."""

    def __init__(self, shelf: Shelf, tokenizer: Any, widths: tuple[int, ...]) -> None:
        self._entries: dict[str, _Entry] = {}
        for name in shelf.names():
            path = shelf.path(name)
            ids = tuple(tokenizer(name, add_special_tokens=False).input_ids)
            vectors = _read(path, widths) if path is not None and ids else None
            if vectors is not None:
                self._entries[name] = _Entry(name, ids, vectors)
        self._by_first: dict[int, list[_Entry]] = {}
        for entry in sorted(self._entries.values(), key=lambda entry: -len(entry.ids)):
            self._by_first.setdefault(entry.ids[0], []).append(entry)

    def insert(self, ids: list[int]) -> list[Token]:
        """Replace the names among tokens by what they stand for; the longest name wins."""
        tokens: list[Token] = []
        place = 0
        while place < len(ids):
            entry = next(
                (
                    each
                    for each in self._by_first.get(ids[place], ())
                    if tuple(ids[place : place + len(each.ids)]) == each.ids
                ),
                None,
            )
            if entry is None:
                tokens.append(ids[place])
                place += 1
            else:
                tokens.append(Vectors(entry.name, len(entry.vectors[0])))
                place += len(entry.ids)
        return tokens

    def vectors(self, name: str, encoder: int) -> torch.Tensor:
        """Give an embedding's vectors (n, D) for the first or second text encoder."""
        return self._entries[name].vectors[encoder]

    def names(self) -> tuple[str, ...]:
        """Give the names of the embeddings that fit this model."""
        return tuple(self._entries)


def _read(path: Any, widths: tuple[int, ...]) -> tuple[torch.Tensor, ...] | None:
    """Read an embedding for encoders of these widths; None, and a note in the log, where it is of no use."""
    from safetensors.torch import load_file

    try:
        check_safetensors(path)
        tensors = [
            value.unsqueeze(0) if value.ndim == 1 else value for value in load_file(path).values() if value.ndim <= 2
        ]
    except (ModelError, OSError, ValueError) as error:
        structlog.get_logger().warning("embedding passed over", file=path.name, reason=str(error))
        return None
    fitting = tuple(next((value for value in tensors if value.shape[-1] == width), None) for width in widths)
    found = tuple(value for value in fitting if value is not None)
    if len(found) < len(widths) or len({len(value) for value in found}) != 1:
        structlog.get_logger().warning("embedding passed over: made for another kind of model", file=path.name)
        return None
    if not 0 < len(found[0]) <= CHUNK:
        structlog.get_logger().warning("embedding passed over: more vectors than a chunk has tokens", file=path.name)
        return None
    return found
