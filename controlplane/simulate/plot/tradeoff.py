"""Policies against each other: what they cost, and how often they had enough.

Good policies lie between 99 and 100 %, poor ones far below. So the axis of availability is one of shortage, on a
logarithmic scale: each step up is as much harder as the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane.api import Problem, SpecError
from controlplane.simulate.plot import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_LEAST_SHORTAGE = 2e-4  # what is better than this is drawn at the top edge, which is labelled 100 %
_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0)
_SPOTS = ((8, 0), (8, 9), (8, -9), (0, 11), (0, -11), (-8, 0), (-8, 9), (-8, -9), (0, 22), (0, -22), (8, 20), (8, -20))


@dataclass(frozen=True, slots=True)
class Point:
    """One measured policy. `availability` and `cost` are fractions of 1; points of one `curve` are joined in order."""

    label: str
    availability: float
    cost: float
    curve: str = ""


def draw_tradeoff(points: Sequence[Point], path: Path, title: str = "Availability against cost") -> None:
    """Draw points, and curves through those that belong together, into a PNG file.

    Raises SpecError when there is no point, matplotlib is missing or the file cannot be written.
    """
    if not points:
        raise SpecError([Problem(str(path), "there is no policy to draw", "name at least one policy")])
    with canvas.figure(path, 9.5, 6.2) as paper:
        axes = paper.add_axes((0.095, 0.1, 0.87, 0.78))
        axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=24)
        axes.text(0, 1.025, "up: enough ready more often · left: cheaper", transform=axes.transAxes, color=canvas.FAINT)
        _scales(axes, points)
        labels = [*_curves(axes, points), *_single(axes, points)]
        _spread(axes, labels, points)


def _scales(axes: "Axes", points: Sequence[Point]) -> None:
    worst = max(1 - point.availability for point in points)
    axes.set_yscale("log")
    axes.set_ylim(min(1.0, max(worst * 1.6, 0.02)), _LEAST_SHORTAGE * 0.8)
    shown = [tick for tick in _TICKS if 1 - tick <= axes.get_ylim()[0]]
    axes.set_yticks([_shortage(tick) for tick in shown], [f"{100 * tick:g} %" for tick in shown], minor=False)
    axes.set_yticks([], minor=True)
    costs = [100 * point.cost for point in points]
    room = 0.12 * (max(costs) - min(costs) or max(costs) or 1.0)
    axes.set_xlim(max(0.0, min(costs) - room), max(costs) + 1.6 * room)
    axes.set_xlabel("cost, % of holding all replicas on demand")
    axes.set_ylabel("time with enough replicas ready")
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def _shortage(availability: float) -> float:
    return max(1 - availability, _LEAST_SHORTAGE)


def _curves(axes: "Axes", points: Sequence[Point]) -> list["Annotation"]:
    labels = []
    curves = list(dict.fromkeys(point.curve for point in points if point.curve))
    for index, curve in enumerate(curves):
        colour = canvas.SERIES[index % len(canvas.SERIES)]
        own = [point for point in points if point.curve == curve]
        x, y = [100 * point.cost for point in own], [_shortage(point.availability) for point in own]
        axes.plot(x, y, color=colour, linewidth=1.6, marker="o", markersize=5, label=curve, zorder=3)
        labels += [_label(axes, point, colour, 8.0) for point in own]
    if curves:
        axes.legend(loc="lower right", frameon=False)
    return labels


def _single(axes: "Axes", points: Sequence[Point]) -> list["Annotation"]:
    single = [point for point in points if not point.curve]
    for point in single:
        axes.scatter(100 * point.cost, _shortage(point.availability), 42, color=canvas.TEXT, marker="D", zorder=4)
    return [_label(axes, point, canvas.TEXT, 9.0) for point in single]


def _label(axes: "Axes", point: Point, colour: str, size: float) -> "Annotation":
    where = (100 * point.cost, _shortage(point.availability))
    return axes.annotate(point.label, where, (0, 0), textcoords="offset points", fontsize=size, color=colour, zorder=5)


def _spread(axes: "Axes", labels: Sequence["Annotation"], points: Sequence[Point]) -> None:
    """Put each label at the first spot around its point where it hides no point and no label put before it."""
    from matplotlib.transforms import Bbox

    where = axes.transData.transform([(100 * p.cost, _shortage(p.availability)) for p in points])
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in where]
    frame = axes.get_window_extent()
    for label in labels:
        best: tuple[float, tuple[int, int], Bbox] | None = None
        for spot in _SPOTS:
            _place(label, spot)
            box = label.get_window_extent()
            hidden = sum(_overlap(box, other) for other in taken)
            hidden += 4 * (box.width * box.height - _overlap(box, frame))
            if best is None or hidden < best[0]:
                best = (hidden, spot, box)
        if best is not None:
            _place(label, best[1])
            taken.append(best[2])


def _place(label: "Annotation", spot: tuple[int, int]) -> None:
    across = spot[0]
    label.set_position(spot)
    label.set_horizontalalignment("left" if across > 0 else "right" if across < 0 else "center")
    label.set_verticalalignment("center")


def _overlap(one: "Bbox", other: "Bbox") -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, width) * max(0.0, height))
