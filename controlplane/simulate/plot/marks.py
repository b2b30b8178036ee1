"""Marks of what ended or moved a replica. Marks that would lie on each other become one, larger mark."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from controlplane.simulate.ledger import Move
from controlplane.simulate.plot import canvas
from controlplane.simulate.plot.block import Block

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_APART = 9  # columns
_MOST_ARROWS = 30  # more would hide what is behind them
_SIZE, _LARGEST = 14.0, 70.0


class Marks:
    """The marks of one replay, by what they say and by zone."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._times: dict[str, dict[int | None, list[float]]] = {}
        for what, zone, at in self._events():
            self._times.setdefault(what, {}).setdefault(zone, []).append(at)

    def draw(self, axes: "Axes") -> dict[str, int]:
        """Draw them; give how many there were of each kind (a key of `canvas.MARKS`)."""
        block, moves = self._block, self._block.ledger.moves
        for what, zones in self._times.items():
            mark = canvas.MARKS[what]
            found = [
                (at / block.unit, block.row_of[zone] + mark.height, min(_LARGEST, _SIZE * number**0.5))
                for zone, times in zones.items()
                for at, number in block.bins.gather(times, _APART)
            ]
            x, y, size = zip(*found, strict=True)
            axes.scatter(x, y, size, color=mark.colour, marker=mark.shape, linewidths=mark.line, zorder=5)
        if len(moves) <= _MOST_ARROWS:
            for move in moves:
                at, colour = move.at / block.unit, canvas.MARKS[why(move, block)].colour
                rows = [block.row_of[lease.zone] for lease in (move.old, move.new)]
                axes.plot([at, at], rows, color=colour, linewidth=1.0, zorder=4)
        return {what: sum(map(len, zones.values())) for what, zones in self._times.items()}

    def _events(self) -> Iterator[tuple[str, int | None, float]]:
        ledger = self._block.ledger
        for lease in ledger.leases:
            if lease.why_ended == "preempted" and lease.ended_at is not None:
                yield "preempted", lease.zone, lease.ended_at
        for at, zone in ledger.refusals:
            yield "attempt refused", zone, at
        for move in ledger.moves:
            yield why(move, self._block), move.new.zone, move.at


def why(move: Move, block: Block) -> str:
    """Give what a move was good for, as far as prices tell; a key of `canvas.MARKS`."""
    old, new = move.old.zone, move.new.zone
    if old is None and new is not None:
        return "moved off on-demand"
    if block.price(new) < block.price(old):
        return "moved to a cheaper zone"
    return "moved elsewhere"
