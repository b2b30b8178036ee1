"""Pictures of replays: what was held where over time and why it moved, and policies against each other.

Drawing needs matplotlib, of the extra `simulate`; it is imported when something is drawn.
"""

from controlplane.simulate.plot.canvas import check
from controlplane.simulate.plot.lanes import draw
from controlplane.simulate.plot.tradeoff import Point, draw_tradeoff

__all__ = ["Point", "check", "draw", "draw_tradeoff"]
