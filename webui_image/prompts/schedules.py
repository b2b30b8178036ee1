"""Texts that change while the picture is drawn: `[from:to:when]`, `[to:when]`, `[from::when]`, `[a|b|c]`.

The text is read once, with a stack and no recursion, into texts, switches and alternations; the text of a step is then
put together from them. Weights are read later from that text, because A1111 does so and `(cat:[1.1:1.4:0.5])` works
there. As in A1111, brackets without a partner are text, and so is everything that is none of the four forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

_TOKENS = re.compile(r"\\.|[\[\]():|]|[^\\\[\]():|]+|\\", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,9}\.?[0-9]{0,9}|\.[0-9]{1,9})")
_PARTNER = {")": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class Switch:
    """`before` is shown for the first `steps` steps, `after` from then on."""

    before: tuple[Node, ...]
    after: tuple[Node, ...]
    steps: int

    def at(self, step: int) -> tuple[Node, ...]:
        """Give what holds at a 0-based step."""
        return self.before if step < self.steps else self.after


@dataclass(frozen=True, slots=True)
class Alternation:
    """Another one of the options each step, in turn."""

    options: tuple[tuple[Node, ...], ...]

    def at(self, step: int) -> tuple[Node, ...]:
        """Give what holds at a 0-based step."""
        return self.options[step % len(self.options)]


Node = str | Switch | Alternation


def texts(prompt: str, steps: int, done: int = 0) -> Iterator[tuple[int, str]]:
    """Give (first step, text) for every change of the text in `steps` steps, the first at step 0. Never raises.

    `done` is the number of steps of a first pass that came before (hires fix): step numbers go on counting there, and
    fractions from 1 to 2 are the second pass, as in A1111.
    """
    reader = _Reader(max(steps, 1), done)
    nodes = reader.read(prompt)
    changes = range(max(steps, 1)) if reader.alternates else sorted({0} | reader.changes)
    last: str | None = None
    for step in changes:
        text = _text_at(nodes, step)
        if text != last:
            yield step, text
        last = text


def _text_at(nodes: tuple[Node, ...], step: int) -> str:
    parts: list[str] = []
    stack = [iter(nodes)]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
        elif isinstance(node, str):
            parts.append(node)
        else:
            stack.append(iter(node.at(step)))
    return "".join(parts)


@dataclass(slots=True)
class _Bracket:
    kind: str
    start: int  # where it stands in the output
    colons: list[int] = field(default_factory=list)
    bars: list[int] = field(default_factory=list)


class _Reader:
    """Reads one prompt. A bracket that closes becomes one node, or stays the texts it consists of."""

    def __init__(self, steps: int, done: int) -> None:
        self._steps, self._done = steps, done
        self._out: list[Node] = []
        self._open: list[_Bracket] = []
        self.changes: set[int] = set()
        self.alternates = False

    def read(self, prompt: str) -> tuple[Node, ...]:
        for mark in _TOKENS.findall(prompt):
            if mark in _PARTNER:
                self._close(mark)
                continue
            if mark in {"[", "("}:
                self._open.append(_Bracket(mark, len(self._out)))
            elif mark == ":" and self._open:
                self._open[-1].colons.append(len(self._out))
            elif mark == "|" and self._open:
                self._open[-1].bars.append(len(self._out))
            self._out.append(mark)
        return tuple(self._out)

    def _close(self, mark: str) -> None:
        if self._open and self._open[-1].kind == _PARTNER[mark]:
            bracket = self._open.pop()
            node = self._node(bracket) if mark == "]" else None
            if node is not None:
                self._out[bracket.start :] = [node]
                return
        else:
            # Crossed brackets are text, and no bracket around them can be a schedule any more.
            self._open.clear()
        self._out.append(mark)

    def _node(self, bracket: _Bracket) -> Node | None:
        if 1 <= len(bracket.colons) <= 2:
            return self._switch(bracket)
        if bracket.bars and not bracket.colons:
            self.alternates = True
            edges = [bracket.start, *bracket.bars, len(self._out)]
            return Alternation(tuple(tuple(self._out[left + 1 : right]) for left, right in pairwise(edges)))
        return None

    def _switch(self, bracket: _Bracket) -> Switch | None:
        first, last = bracket.colons[0], bracket.colons[-1]
        when = self._out[last + 1 :]
        if len(when) != 1 or not isinstance(when[0], str) or not _NUMBER.fullmatch(when[0].strip()):
            return None
        steps = self._when(when[0].strip())
        if 0 < steps < self._steps:
            self.changes.add(steps)
        if first == last:
            return Switch((), tuple(self._out[bracket.start + 1 : last]), steps)
        return Switch(tuple(self._out[bracket.start + 1 : first]), tuple(self._out[first + 1 : last]), steps)

    def _when(self, number: str) -> int:
        if "." not in number:
            return int(number) - self._done
        return int((float(number) - (1.0 if self._done else 0.0)) * self._steps)
