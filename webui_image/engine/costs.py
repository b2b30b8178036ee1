"""What a call of the model takes, learnt while it runs: a part for the call itself and a part for each row in it.

How much company a picture may have depends on how much longer a call takes with it, which differs by device, model
and size by orders of magnitude and is not known beforehand. Two things are told apart. The shape, how the time grows
with the rows, hardly changes, and is a line fitted to many calls. The pace changes with every neighbour on the
machine, and follows the last few calls. So a long run of full calls does not blur what a call with one picture takes.
Outliers are cut; what was never measured follows from the nearest that was, by the number of pixels. Pure: durations
come from outside.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import isfinite

__all__ = ["Costs", "Line"]

_MEMORY = 0.995  # what an observation of the shape still counts after one more
_HASTE = 0.25  # share of the last call in the pace
_SHAPE = 0.15  # share of a surprise that is put down to the shape
_FIRM = 6.0  # observations after which outliers are cut
_OUTLIER = 2.0  # times as long, or as short, as expected: counted as no more than that
_PRIOR = 0.2  # observations that the prior weighs as much as: what is long forgotten returns to it
_FAR = 8  # the second size at which the prior is held against observations
_TYPICAL_SLOPE = 0.3  # of a call with one row that each further row adds, where nothing is known
_GUESS = 0.05  # seconds of a call where nothing at all is known


@dataclass(slots=True)
class Line:
    """Seconds of a call as `pace * (base + each * size)`."""

    base: float
    each: float
    pace: float = 1.0
    largest: float = 0.0  # size observed
    _count: float = 0.0
    _sums: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)  # of size, size squared, seconds, size times seconds
    _prior: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        self._prior = (self.base, self.each)

    def at(self, size: float) -> float:
        """Give the seconds of a call of this size."""
        return self.pace * (self.base + self.each * size)

    def observe(self, size: float, seconds: float) -> None:
        """Learn from one call."""
        self.largest = max(self.largest, size)
        if self._count >= _FIRM and self.at(size) > 0:
            surprise = min(max(seconds / self.at(size), 1 / _OUTLIER), _OUTLIER)
            self.pace *= surprise**_HASTE
            seconds = (self.base + self.each * size) * surprise**_SHAPE
        self._count = self._count * _MEMORY + 1
        new = (size, size * size, seconds, size * seconds)
        self._sums = tuple(old * _MEMORY + value for old, value in zip(self._sums, new, strict=True))
        self._fit()

    def _fit(self) -> None:
        count, (size, square, seconds, both) = self._count, self._sums
        base, each = self._prior_at_pace()
        for at in (1, _FAR):
            value = _PRIOR * (base + each * at)
            count, size, square = count + _PRIOR, size + _PRIOR * at, square + _PRIOR * at * at
            seconds, both = seconds + value, both + value * at
        each = (count * both - size * seconds) / (count * square - size * size)
        base = (seconds - each * size) / count
        if each < 0:
            base, each = seconds / count, 0.0
        elif base < 0:
            base, each = 0.0, both / square
        self.base, self.each = base, each

    def _prior_at_pace(self) -> tuple[float, float]:
        """Bring the prior to the observed mean: it knows how base and slope relate, not how fast the device is."""
        base, each = self._prior
        size, _, seconds, _ = self._sums
        expected = base + each * (size / self._count)
        factor = (seconds / self._count) / expected if expected > 0 else 1.0
        return base * factor, each * factor


class Costs:
    """Durations of all calls, by kind of work and group. `pixels` of a group says how much one row of it is."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, Hashable], tuple[Line, float]] = {}
        self._last: dict[str, tuple[Line, float]] = {}

    def seconds(self, kind: str, group: Hashable, pixels: float, size: float) -> float:
        """Estimate a call of `size` rows."""
        known = self._lines.get((kind, group))
        return (known[0] if known is not None else self._guess(kind, pixels)).at(size)

    def observe(self, kind: str, group: Hashable, pixels: float, size: float, seconds: float) -> None:
        """Learn from a call of `size` rows that took so long."""
        if not isfinite(seconds) or seconds < 0:
            return
        known = self._lines.get((kind, group))
        line = known[0] if known is not None else self._guess(kind, pixels)
        line.observe(size, seconds)
        self._lines[kind, group] = self._last[kind] = (line, pixels)

    def tried(self, kind: str, group: Hashable) -> float:
        """Give the largest size that was ever measured in the group, 0 where none was."""
        known = self._lines.get((kind, group))
        return known[0].largest if known is not None else 0.0

    def known_kind(self, kind: str) -> bool:
        """Say whether such a call was ever measured, in any group."""
        return kind in self._last

    def _guess(self, kind: str, pixels: float) -> Line:
        """Give a line for a group never measured: that of the kind's last measured one, by the number of pixels."""
        if kind not in self._last:
            return Line(_GUESS * (1 - _TYPICAL_SLOPE), _GUESS * _TYPICAL_SLOPE)
        line, its_pixels = self._last[kind]
        # What a call costs by itself is overhead, which does not grow with the picture.
        return Line(line.pace * line.base, line.pace * line.each * (pixels / its_pixels if its_pixels > 0 else 1.0))
