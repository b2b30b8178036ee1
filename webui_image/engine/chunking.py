"""Prompts become chunks of 75 tokens, as A1111 cuts them.

CLIP reads 77 tokens: a beginning, 75 of the prompt, an end. A longer prompt is cut into several such chunks whose
embeddings are concatenated. Where a cut would fall into a phrase, it is moved back to the last comma if that is at
most 20 tokens away. `BREAK` ends a chunk early. A textual inversion embedding is several vectors under one name, and
never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webui_image.prompts.plan import Piece

__all__ = ["CHUNK", "Chunk", "Vectors", "cut"]

CHUNK = 75
_BACK_OFF = 20


@dataclass(frozen=True, slots=True)
class Vectors:
    """A textual inversion embedding in the token stream: `count` places that its vectors take."""

    name: str
    count: int


Token = int | Vectors


@dataclass(frozen=True, slots=True)
class Chunk:
    """Up to 75 tokens with a weight each; `inserts` are embeddings: the place of the first vector, and the name."""

    tokens: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    inserts: tuple[tuple[int, str], ...] = ()


@dataclass(slots=True)
class _Cutter:
    comma: int | None
    placeholder: int
    chunks: list[Chunk] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    inserts: list[tuple[int, str]] = field(default_factory=list)
    after_comma: int = 0  # where the text after the last comma of this chunk begins; 0: it has none

    def end_chunk(self, at: int | None = None) -> None:
        """Close the chunk after `at` tokens; what stands behind begins the next one."""
        at = len(self.tokens) if at is None else at
        kept = tuple((place, name) for place, name in self.inserts if place < at)
        self.chunks.append(Chunk(tuple(self.tokens[:at]), tuple(self.weights[:at]), kept))
        self.tokens, self.weights = self.tokens[at:], self.weights[at:]
        self.inserts = [(place - at, name) for place, name in self.inserts if place >= at]
        self.after_comma = 0

    def add(self, token: Token, weight: float) -> None:
        count = token.count if isinstance(token, Vectors) else 1
        if len(self.tokens) + count > CHUNK and self.tokens:
            near = self.after_comma and len(self.tokens) - self.after_comma < _BACK_OFF
            self.end_chunk(
                self.after_comma if near and not isinstance(token, Vectors) and token != self.comma else None
            )
        if isinstance(token, Vectors):
            self.inserts.append((len(self.tokens), token.name))
            self.tokens += [self.placeholder] * count
        else:
            self.tokens.append(token)
        self.weights += [weight] * count
        if token == self.comma:
            self.after_comma = len(self.tokens)


def cut(
    pieces: Iterable[Piece],
    tokenize: Callable[[str], list[Token]],
    *,
    comma: int | None = None,
    placeholder: int = 0,
) -> list[Chunk]:
    """Cut weighted pieces of text into chunks; at least one, empty where there is no text.

    `tokenize` gives a text's tokens without beginning and end; `comma` is the token after which a phrase may move to
    the next chunk; `placeholder` stands where an embedding's vectors will.
    """
    cutter = _Cutter(comma, placeholder)
    for piece in pieces:
        if piece.is_break:
            cutter.end_chunk()
            continue
        for token in tokenize(piece.text):
            cutter.add(token, piece.weight)
    if cutter.tokens or not cutter.chunks:
        cutter.end_chunk()
    return cutter.chunks
