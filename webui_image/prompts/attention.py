"""Weights: `(x)` is 1.1 times as strong, `[x]` 1.1 times weaker, `(x:1.3)` 1.3 times; brackets multiply.

As in A1111's documented examples, a bracket that is never closed holds until the end, and one that was never opened is
text. A bracket's factor belongs to a range of pieces; multiplying range by range would take quadratic time, so the
ranges are collected first and one sweep gives every piece its weight.
"""

from __future__ import annotations

import re
from itertools import groupby

from webui_image.prompts.plan import BREAK, Piece

STEP = 1.1
LARGEST_WEIGHT = 1000.0

_TOKENS = re.compile(
    r"""\\[()\[\]\\]                                        # an escaped bracket or backslash
      | \\                                                  # a lone backslash
      | [(\[]
      | :\s*+([-+]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++))\s*+\)   # a weight closes its bracket
      | [)\]]
      | [^\\()\[\]:]+
      | :""",
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")
_LARGEST_POWER = 80  # 1.1**80 is beyond LARGEST_WEIGHT, and no overflow


def pieces(text: str) -> tuple[Piece, ...]:
    """Give the text's pieces, in order; neighbours with one weight are joined. Never raises, never gives none.

    Weights are finite, within LARGEST_WEIGHT of zero; zero or negative only where the text says so.
    """
    ranges = _Ranges()
    for match in _TOKENS.finditer(text):
        mark, weight = match.group(), match.group(1)
        if mark[0] == "\\":
            ranges.add(mark[1:])
        elif mark in {"(", "["}:
            ranges.open(mark)
        elif weight is not None and ranges.is_open("("):
            ranges.close("(", float(weight))
        elif mark == ")" and ranges.is_open("("):
            ranges.close("(", None)
        elif mark == "]" and ranges.is_open("["):
            ranges.close("[", None)
        else:
            ranges.add_with_breaks(mark)
    return ranges.weighted()


class _Ranges:
    """The texts so far, the brackets still open, and the ranges of texts that closed brackets cover."""

    def __init__(self) -> None:
        self._texts: list[str | None] = []  # None: BREAK
        self._open: dict[str, list[int]] = {"(": [], "[": []}
        self._powers: list[tuple[int, int, int]] = []  # start, end, power of STEP
        self._factors: list[tuple[int, int, float]] = []  # start, end, factor; they nest or are apart

    def add(self, text: str) -> None:
        self._texts.append(text)

    def add_with_breaks(self, text: str) -> None:
        parts = _BREAK.split(text)
        for position, part in enumerate(parts):
            if position > 0:
                self._texts.append(None)
                part = part.lstrip()  # noqa: PLW2901 - white space around BREAK belongs to it
            self._texts.append(part.rstrip() if position < len(parts) - 1 else part)

    def open(self, bracket: str) -> None:
        self._open[bracket].append(len(self._texts))

    def is_open(self, bracket: str) -> bool:
        return bool(self._open[bracket])

    def close(self, bracket: str, factor: float | None) -> None:
        start, end = self._open[bracket].pop(), len(self._texts)
        if factor is not None:
            self._factors.append((start, end, factor))
        else:
            self._powers.append((start, end, 1 if bracket == "(" else -1))

    def weighted(self) -> tuple[Piece, ...]:
        for bracket, starts in self._open.items():
            while starts:
                self.close(bracket, None)
        both = zip(self._power_each(), self._factor_each(), strict=True)
        weights = [_weight(power, factor) for power, factor in both]
        found: list[Piece] = []
        paired = ((text, weight) for text, weight in zip(self._texts, weights, strict=True) if text != "")
        for (is_break, weight), run in groupby(paired, key=lambda pair: (pair[0] is None, pair[1])):
            if is_break:
                found.extend(BREAK for _ in run)
            else:
                found.append(Piece("".join(text for text, _ in run if text), weight))
        return tuple(found) or (Piece(""),)

    def _power_each(self) -> list[int]:
        changes = [0] * (len(self._texts) + 1)
        for start, end, power in self._powers:
            changes[start] += power
            changes[end] -= power
        level, levels = 0, []
        for change in changes[:-1]:
            level += change
            levels.append(level)
        return levels

    def _factor_each(self) -> list[float]:
        starts: dict[int, list[float]] = {}
        ends = [0] * (len(self._texts) + 1)
        for start, end, factor in reversed(self._factors):  # the outer before the inner
            if start < end:
                starts.setdefault(start, []).append(factor)
                ends[end] += 1
        products, each = [1.0], []
        for position in range(len(self._texts)):
            if ends[position]:
                del products[-ends[position] :]
            for factor in starts.get(position, ()):
                products.append(_clamp(products[-1] * _clamp(factor)))
            each.append(products[-1])
        return each


def _weight(power: int, factor: float) -> float:
    if power == 0:
        return factor
    return _clamp(factor * float(STEP ** max(-_LARGEST_POWER, min(_LARGEST_POWER, power))))


def _clamp(value: float) -> float:
    return max(-LARGEST_WEIGHT, min(LARGEST_WEIGHT, value))
