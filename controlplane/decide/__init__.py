"""The decision: what one pass does for one service, as a pure function of what is wanted, seen and remembered.

Nothing here does I/O, reads a clock or draws a random number. The rooms, in the order in which a decision walks them:
world (what stands where), attempts and capacity (what was learnt), lifecycle (phases), candidates, filters and scoring
(what can be tried, in which order), allocation (how many where), failback, routing, rollout, teardown, planner, safety
(the guards have the last word), verdicts and conditions (why), remember (what outlives the pass).
"""

from controlplane.decide.attempts import note_refusal
from controlplane.decide.decider import decide

__all__ = ["decide", "note_refusal"]
