"""What was held where over time, and why it moved: a lane per zone, the dearest lowest, on-demand below them all.

A reader should see at a glance when too few were ready (top), what was to be had (a lane's ground), what was held
there (bars), and what ended it (marks). A move goes up where it saves money, as lanes are in order of price.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane.api import Problem, SpecError
from controlplane.simulate.plot import canvas
from controlplane.simulate.plot.block import Block
from controlplane.simulate.plot.marks import Marks
from controlplane.simulate.replay import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches.
_WIDTH, _HEAD, _FOOT = 14.0, 0.75, 0.6
_READY, _GAP, _AXIS = 1.25, 0.12, 0.48
_LANE, _LOW_LANE = 0.4, 0.26
_LEFT, _ACROSS = 0.135, 0.775  # shares of the width


def draw(histories: History | Sequence[History], path: Path) -> None:
    """Draw one replay, or several below each other, into a PNG file.

    Raises SpecError when matplotlib is missing, the file cannot be written, or there is nothing to draw.
    """
    shown = [histories] if isinstance(histories, History) else list(histories)
    if not shown:
        raise SpecError([Problem(str(path), "there is no replay to draw", "name at least one policy that is replayed")])
    lane = _LANE if len(shown) == 1 else _LOW_LANE
    rows = [lane * (len(history.trace.zones) + 1) for history in shown]
    total = sum(_HEAD + _READY + _GAP + row + _AXIS for row in rows) + _FOOT
    with canvas.figure(path, _WIDTH, total) as paper:
        found: dict[str, int] = {}
        top = total
        for history, row in zip(shown, rows, strict=True):
            ready_at = top - _HEAD - _READY
            lanes_at = ready_at - _GAP - row
            ready = paper.add_axes((_LEFT, ready_at / total, _ACROSS, _READY / total))
            lanes = paper.add_axes((_LEFT, lanes_at / total, _ACROSS, row / total))
            block = Block(history)
            block.draw(ready, lanes)
            for what, number in Marks(block).draw(lanes).items():
                found[what] = found.get(what, 0) + number
            top = lanes_at - _AXIS
        _legend(paper, total, found)


def _legend(paper: "Figure", total: float, found: dict[str, int]) -> None:
    """Explain colours, and those marks that there are, with their number."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    patches = [
        Patch(color=canvas.READY, label="ready"),
        Patch(color=canvas.WARMING, label="paid for, not ready yet"),
        Patch(color=canvas.FEW, label="no capacity (lighter: for some)"),
        Patch(color=canvas.SHORT, label="fewer ready than wanted"),
    ]
    marks = [
        Line2D([], [], linestyle="none", marker=mark.shape, color=mark.colour, label=f"{what} ({found[what]:,})")
        for what, mark in canvas.MARKS.items()
        if found.get(what)
    ]
    for height, handles in ((0.3, patches), (0.06, marks)):
        if handles:
            paper.legend(
                handles=handles,
                loc="lower center",
                bbox_to_anchor=(0.5, height / total),
                ncols=len(handles),
                frameon=False,
                fontsize=8.5,
                handletextpad=0.5,
                columnspacing=1.8,
                handlelength=1.3,
                borderpad=0.2,
            )
