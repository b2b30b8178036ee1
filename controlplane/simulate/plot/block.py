"""One replay on paper: how many were ready, what zones had to give, and what was held in each."""

from collections.abc import Sequence
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING

from controlplane.simulate.ledger import Lease
from controlplane.simulate.plot import canvas
from controlplane.simulate.plot.bins import Bins
from controlplane.simulate.replay import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 900
_BAR = 0.78  # of a lane's height; the rest is for marks
_HOUR, _DAY = 3600.0, 86_400.0
_BESIDE = 1.008  # where notes right of a plot begin, in shares of its width


class Block:
    """Lays a replay out in columns of time and rows of zones (`row_of`), the cheapest first, on-demand last."""

    def __init__(self, history: History) -> None:
        self.history, self.trace, self.ledger = history, history.trace, history.ledger
        self.bins = Bins(self.trace.duration, _COLUMNS)
        self.unit, self._unit_name = (_DAY, "days") if self.trace.duration > 3 * _DAY else (_HOUR, "hours")
        zones = self.trace.zones
        self.order: list[int | None] = [*sorted(range(len(zones)), key=lambda index: zones[index].spot_price), None]
        self.row_of = {zone: row for row, zone in enumerate(self.order)}
        self._edges = [column * self.bins.width / self.unit for column in range(_COLUMNS + 1)]

    def price(self, zone: int | None) -> float:
        """Give the price of a replica there, on-demand for None."""
        return self.trace.on_demand_price if zone is None else self.trace.zones[zone].spot_price

    def draw(self, ready: "Axes", lanes: "Axes") -> None:
        """Draw all but the marks."""
        from matplotlib.ticker import MaxNLocator, MultipleLocator

        self._title(ready)
        self._ready(ready)
        self._grounds(lanes)
        self._bars(lanes)
        length = self.trace.duration / self.unit
        steps = (1, 2, 3, 6, 12) if self.unit == _HOUR else (1, 2, 5, 10, 20, 50, 100)
        every = next((step for step in steps if length / step <= 16), steps[-1])
        for axes in (ready, lanes):
            axes.set_xlim(0, length)
            axes.xaxis.set_major_locator(MultipleLocator(every) if length >= 1 else MaxNLocator(8))
        ready.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        ready.tick_params(labelbottom=False)
        lanes.set_xlabel(f"{self._unit_name} since the start of the trace", labelpad=2)

    def _title(self, axes: "Axes") -> None:
        result, wanted = self.history.result, self.history.replicas
        title = f"{result.policy} on {self.trace.name}, {wanted} replica{'s'[: wanted > 1]} wanted"
        outage = result.longest_outage_minutes
        told = (
            f"enough ready {100 * result.availability:.2f} % of the time",
            f"cost {100 * result.cost:.1f} % of all on-demand",
            f"{result.failed_attempts:,} of {result.attempts:,} attempts refused",
            f"{result.preemptions:,} preempted",
            f"{result.moves:,} moved",
            f"longest shortage {f'{outage:.0f} min' if outage < 120 else f'{outage / 60:.1f} h'}",
        )
        axes.text(0, 1.32, title, transform=axes.transAxes, fontsize=12, fontweight="bold")
        axes.text(0, 1.11, "  ·  ".join(told), transform=axes.transAxes, color=canvas.FAINT)

    def _ready(self, axes: "Axes") -> None:
        wanted = self.history.replicas
        mean, lowest = self.bins.ready(self.ledger.readiness, self.history.scoring.left_out)
        low = [wanted if count is None else min(count, wanted) for count in lowest]
        self._fill(axes, [0.0] * _COLUMNS, mean, canvas.PALE)
        axes.plot(*self._outline(mean), color=canvas.READY, linewidth=1.0)
        self._fill(axes, low, [wanted] * _COLUMNS, canvas.SHORT, above=3)
        axes.axhline(wanted, color=canvas.TEXT, linewidth=0.9, linestyle=(0, (5, 3)))
        axes.set_ylim(0, max(*mean, wanted) + 0.6)
        axes.set_ylabel("ready")
        axes.text(_BESIDE, wanted, f"wanted: {wanted}", transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)

    def _grounds(self, axes: "Axes") -> None:
        from matplotlib.colors import LinearSegmentedColormap

        zones, count = self.trace.zones, len(self.order)
        grounds = [
            [0.0] * _COLUMNS
            if zone is None
            else self.bins.missing(zones[zone], self.trace.interval_seconds, self.history.replicas)
            for zone in self.order
        ]
        axes.imshow(
            grounds,
            aspect="auto",
            interpolation="nearest",
            cmap=LinearSegmentedColormap.from_list("scarce", ["#FFFFFF", canvas.FEW]),
            vmin=0,
            vmax=1,
            extent=(0.0, self.trace.duration / self.unit, count - 0.5, -0.5),
        )
        for row in range(count):
            axes.axhline(row - 0.5, color=canvas.FAINT if row == count - 1 else "#DDDDDD", linewidth=0.8)
        axes.set_ylim(count - 0.5, -0.5)
        names = ["on-demand" if zone is None else zones[zone].name for zone in self.order]
        labels = [f"{name}  ${self.price(zone):.2f}" for name, zone in zip(names, self.order, strict=True)]
        axes.set_yticks(range(count), labels, fontsize=8.5)
        axes.tick_params(axis="y", length=0)

    def _bars(self, axes: "Axes") -> None:
        leases: dict[int | None, list[Lease]] = {zone: [] for zone in self.order}
        for lease in self.ledger.leases:
            leases[lease.zone].append(lease)
        held = {zone: self.bins.held(leases[zone]) for zone in self.order}
        most = max(chain.from_iterable(map(sum, zip(*both, strict=True)) for both in held.values()))
        full = max(1, ceil(most - 1e-6))
        beside = axes.get_yaxis_transform()
        for zone, (warming, ready) in held.items():
            floor = self.row_of[zone] + 0.5
            base = [floor - _BAR * count / full for count in ready]
            tip = [at - _BAR * count / full for at, count in zip(base, warming, strict=True)]
            self._fill(axes, [floor] * _COLUMNS, base, canvas.READY)
            self._fill(axes, base, tip, canvas.WARMING)
            mean = sum(warming + ready) / _COLUMNS
            text, colour = (_held(mean), canvas.TEXT) if mean else ("never used", canvas.FAINT)
            axes.text(_BESIDE, floor - 0.5, text, transform=beside, va="center", fontsize=8.5, color=colour)
        note = f"full height: {full}"
        axes.annotate(
            note, (_BESIDE, 0), (0, -25), "axes fraction", "offset points", fontsize=8, va="bottom", color=canvas.FAINT
        )

    def _fill(self, axes: "Axes", lower: Sequence[float], upper: Sequence[float], colour: str, above: int = 1) -> None:
        x, low = self._outline(lower)
        _, high = self._outline(upper)
        axes.fill_between(x, low, high, color=colour, linewidth=0, zorder=above)

    def _outline(self, values: Sequence[float]) -> tuple[list[float], list[float]]:
        """Give the corners of steps, one per column."""
        x = [edge for column in range(_COLUMNS) for edge in self._edges[column : column + 2]]
        return x, [value for value in values for _ in range(2)]


def _held(mean: float) -> str:
    return f"{mean:.2f} held" if mean >= 0.005 else "<0.01 held"
