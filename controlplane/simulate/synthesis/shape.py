"""The shape of a trace: what decides how hard it is to hold capacity, as a few figures.

How soon capacity is lost and comes back by its age, and how far zones share their fate. The same rule measures what was
recorded and what was made, so the two can be laid side by side. A zone's history is kept as one integer, a bit per
interval: to compare two histories is then one operation, whatever their length.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations
from math import sqrt

from controlplane.simulate.synthesis.pattern import BANDS
from controlplane.simulate.trace import Trace, Zone

_TOGETHER = 600.0
_BAND_NAMES = ("<10 min", "10-30 min", "30-60 min", "1-2 h", "2-6 h", "6-12 h", ">12 h")

Figure = float | None
"""None where the trace has nothing to measure it by: no spell of that age, no two zones of one region."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The measured shape.

    `availability`: share of time up, by zone (`trace/zone` where several traces were measured). `lost_per_hour`,
    `returned_per_hour`: the hazards of going down and of coming up, per hour, by band of age (`BANDS`).
    `correlation_*`: the mean correlation of two zones being up, of one region or of two. `lost_together_*`: of the
    losses in a zone while another was up, the share in which that one was lost within 10 minutes, before or after.
    `price_ratio`: the dearest spot price over the cheapest.
    """

    availability: Mapping[str, float]
    lost_per_hour: tuple[Figure, ...]
    returned_per_hour: tuple[Figure, ...]
    correlation_inside: Figure
    correlation_outside: Figure
    lost_together_inside: Figure
    lost_together_outside: Figure
    price_ratio: float

    def as_dict(self) -> dict[str, object]:
        """Give the figures for JSON; hazards by the name of the band."""
        return {
            "availability": dict(self.availability),
            "lost_per_hour": dict(zip(_BAND_NAMES, self.lost_per_hour, strict=True)),
            "returned_per_hour": dict(zip(_BAND_NAMES, self.returned_per_hour, strict=True)),
            "correlation": {"inside": self.correlation_inside, "outside": self.correlation_outside},
            "lost_together": {"inside": self.lost_together_inside, "outside": self.lost_together_outside},
            "price_ratio": self.price_ratio,
        }


def shape_of(*traces: Trace, at_least: int = 1) -> Shape:
    """Measure one trace, or several as one (events and hours are added up, correlations averaged).

    A zone counts as up while it has room for `at_least` replicas. Spells that had begun before the trace are left out
    of the hazards, as their age is unknown. Hazards are the actuarial estimate of life tables: those who turn within an
    interval are taken to have been at risk for half of it.
    """
    lost, returned = _Hazards(), _Hazards()
    pairs = {True: _Pairs(), False: _Pairs()}
    for trace in traces:
        for zone in trace.zones:
            _count_spells(zone, at_least, trace.interval_seconds, lost, returned)
        histories = [_History(zone, at_least) for zone in trace.zones]
        width = int(_TOGETHER / trace.interval_seconds)
        for one, other in permutations(histories, 2):
            pairs[one.region == other.region].add(one, other, width)
    spot = [zone.spot_price for trace in traces for zone in trace.zones]
    return Shape(
        availability={
            zone.name if len(traces) == 1 else f"{trace.name}/{zone.name}": _share_up(zone, at_least)
            for trace in traces
            for zone in trace.zones
        },
        lost_per_hour=lost.per_hour(),
        returned_per_hour=returned.per_hour(),
        correlation_inside=_mean(pairs[True].correlations),
        correlation_outside=_mean(pairs[False].correlations),
        lost_together_inside=pairs[True].share_together(),
        lost_together_outside=pairs[False].share_together(),
        price_ratio=max(spot) / min(spot),
    )


def table(shapes: Mapping[str, Shape]) -> str:
    """Lay shapes side by side as text: a line per figure, a column per shape."""
    measured = list(shapes.values())
    rows: list[tuple[str, list[Figure]]] = []
    for band, name in enumerate(_BAND_NAMES):
        rows.append((f"lost per hour {name}", [shape.lost_per_hour[band] for shape in measured]))
    for band, name in enumerate(_BAND_NAMES):
        rows.append((f"back per hour {name}", [shape.returned_per_hour[band] for shape in measured]))
    rows += [
        ("correlation in region", [shape.correlation_inside for shape in measured]),
        ("correlation outside", [shape.correlation_outside for shape in measured]),
        ("lost together in region", [shape.lost_together_inside for shape in measured]),
        ("lost together outside", [shape.lost_together_outside for shape in measured]),
        ("scarcest zone is up", [min(shape.availability.values()) for shape in measured]),
        ("best zone is up", [max(shape.availability.values()) for shape in measured]),
        ("price ratio", [shape.price_ratio for shape in measured]),
    ]
    widths = [max(8, len(name)) for name in shapes]
    lines = ["  ".join([" " * 23, *(name.rjust(width) for name, width in zip(shapes, widths, strict=True))])]
    for title, figures in rows:
        cells = ["-" if figure is None else f"{figure:.2f}" for figure in figures]
        lines.append("  ".join([title.ljust(23), *(c.rjust(w) for c, w in zip(cells, widths, strict=True))]))
    return "\n".join(line.rstrip() for line in lines)


class _Hazards:
    """Turns and hours at risk, by band of age."""

    def __init__(self) -> None:
        self.turns = [0] * len(BANDS)
        self.hours = [0.0] * len(BANDS)

    def add(self, length: int, interval: float, *, ended: bool) -> None:
        """Count a spell of so many intervals."""
        hours = interval / 3600
        age, band = 0.0, 0
        for _ in range(length):
            while age >= BANDS[band]:
                band += 1
            self.hours[band] += hours
            age += interval
        if ended:
            self.turns[band] += 1
            self.hours[band] -= hours / 2

    def per_hour(self) -> tuple[Figure, ...]:
        return tuple(turns / hours if hours > 0 else None for turns, hours in zip(self.turns, self.hours, strict=True))


def _count_spells(zone: Zone, at_least: int, interval: float, lost: _Hazards, returned: _Hazards) -> None:
    begin: int | None = None
    states = [capacity >= at_least for capacity in zone.capacity]
    for step in range(1, len(states)):
        if states[step] != states[step - 1]:
            if begin is not None:
                (lost if states[begin] else returned).add(step - begin, interval, ended=True)
            begin = step
    if begin is not None:
        # whether the last interval ends in a turn is not known, so it is not at risk
        (lost if states[begin] else returned).add(len(states) - 1 - begin, interval, ended=False)


class _History:
    """When a zone was up, and when it was lost: bit i stands for interval i."""

    def __init__(self, zone: Zone, at_least: int) -> None:
        self.region = zone.region
        self.length = len(zone.capacity)
        self.up = int("".join("01"[capacity >= at_least] for capacity in reversed(zone.capacity)), 2)
        self.lost = (self.up << 1) & ~self.up & ((1 << self.length) - 1)
        self.share = self.up.bit_count() / self.length


class _Pairs:
    """What was found of pairs of zones."""

    def __init__(self) -> None:
        self.correlations: list[float] = []
        self._together = self._losses = 0

    def add(self, one: _History, other: _History, width: int) -> None:
        spread = sqrt(one.share * (1 - one.share) * other.share * (1 - other.share))
        if spread > 0:
            both = (one.up & other.up).bit_count() / one.length
            self.correlations.append((both - one.share * other.share) / spread)
        # up in the interval before a loss, hence one more to that side
        self._losses += (one.lost & _near(other.up, width, width + 1)).bit_count()
        self._together += (one.lost & _near(other.lost, width, width)).bit_count()

    def share_together(self) -> Figure:
        return self._together / self._losses if self._losses else None


def _near(bits: int, before: int, after: int) -> int:
    """Give the intervals from `before` ahead of any of these to `after` behind it."""
    near = bits
    for by in range(1, before + 1):
        near |= bits >> by
    for by in range(1, after + 1):
        near |= bits << by
    return near


def _share_up(zone: Zone, at_least: int) -> float:
    return sum(capacity >= at_least for capacity in zone.capacity) / len(zone.capacity)


def _mean(values: Iterable[float]) -> Figure:
    values = list(values)
    return sum(values) / len(values) if values else None
