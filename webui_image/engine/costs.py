"""What a call of the model takes, learnt while it runs: a part for the call itself and a part for each row in it.

How much company a picture may have depends on how much longer a call takes with it, which differs by device, model
and size by orders of magnitude and is not known beforehand. So each group of calls has a line fitted to its
durations: recent ones count more, outliers (a busy neighbour, a collection of garbage) are cut, and what was never
measured follows from the nearest that was, by the number of pixels. Pure: durations come from outside.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import isfinite

__all__ = ["Costs", "Line"]

_MEMORY = 0.97  # what an observation still counts after one more
_FIRM = 3.0  # observations after which outliers are cut
_PRIOR = 0.2  # observations that the prior weighs as much as, for ever: lost knowledge returns to it
_FAR = 8  # the second size at which the prior is held against observations
_TYPICAL_SLOPE = 0.3  # of a call with one row that each further row adds, where nothing is known
_GUESS = 0.05  # seconds of a call where nothing at all is known


@dataclass(slots=True)
class Line:
    """Seconds of a call as `base + each * size`, fitted to what was observed."""

    base: float
    each: float
    _count: float = 0.0
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])  # of size, size squared, seconds, both
    _prior: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        self._prior = (self.base, self.each)

    def at(self, size: float) -> float:
        """Give the seconds of a call of this size."""
        return self.base + self.each * size

    def observe(self, size: float, seconds: float) -> None:
        """Learn from one call."""
        if self._count >= _FIRM:
            expected = self.at(size)
            seconds = min(max(seconds, expected / 2), expected * 2)
        self._count = self._count * _MEMORY + 1
        new = (size, size * size, seconds, size * seconds)
        self._sums = [old * _MEMORY + value for old, value in zip(self._sums, new, strict=True)]
        self._fit()

    def _fit(self) -> None:
        count, (size, square, seconds, both) = self._count, self._sums
        base, each = self._rescaled_prior(size, seconds, count)
        for at in (1, _FAR):
            value = base + each * at
            count += _PRIOR
            size, square, seconds, both = (
                size + _PRIOR * at,
                square + _PRIOR * at * at,
                seconds + _PRIOR * value,
                both + _PRIOR * at * value,
            )
        spread = count * square - size * size
        each = (count * both - size * seconds) / spread
        base = (seconds - each * size) / count
        if each < 0:
            base, each = seconds / count, 0.0
        elif base < 0:
            base, each = 0.0, both / square
        self.base, self.each = base, each

    def _rescaled_prior(self, size: float, seconds: float, count: float) -> tuple[float, float]:
        """Bring the prior to the observed mean: it knows how base and slope relate, not how fast the device is."""
        base, each = self._prior
        expected = base + each * (size / count)
        factor = (seconds / count) / expected if expected > 0 else 1.0
        return base * factor, each * factor


class Costs:
    """Durations of all calls, by kind of work and group. `pixels` of a group says how much one row of it is."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, Hashable], tuple[Line, float]] = {}
        self._last: dict[str, tuple[Line, float]] = {}

    def seconds(self, kind: str, group: Hashable, pixels: float, size: float) -> float:
        """Estimate a call of `size` rows."""
        return self.line(kind, group, pixels).at(size)

    def observe(self, kind: str, group: Hashable, pixels: float, size: float, seconds: float) -> None:
        """Learn from a call of `size` rows that took so long."""
        if not isfinite(seconds) or seconds < 0:
            return
        known = self._lines.get((kind, group))
        line = known[0] if known is not None else self.line(kind, group, pixels)
        line.observe(size, seconds)
        self._lines[kind, group] = self._last[kind] = (line, pixels)

    def known_kind(self, kind: str) -> bool:
        """Say whether such a call was ever measured, in any group."""
        return kind in self._last

    def line(self, kind: str, group: Hashable, pixels: float) -> Line:
        """Give the group's line; for one never measured, a line that follows from the kind's last measured group."""
        known = self._lines.get((kind, group))
        if known is not None:
            return known[0]
        if kind not in self._last:
            return Line(_GUESS * (1 - _TYPICAL_SLOPE), _GUESS * _TYPICAL_SLOPE)
        line, its_pixels = self._last[kind]
        factor = pixels / its_pixels if its_pixels > 0 else 1.0
        return Line(line.base * min(1.0, factor), line.each * factor + line.base * max(0.0, factor - 1.0) * 0.5)
