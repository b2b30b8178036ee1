"""The way down: not ready at once, serving until load balancers have turned away, then no longer than the grace.

A replica on a Spot GPU is told seconds before it goes. What it cannot finish is handed back with an answer that says
"send it again", so that no request is lost with it.
"""

from __future__ import annotations


class Draining:
    """Whether the replica is on its way out. Set once, never unset."""

    def __init__(self) -> None:
        self._begun = False

    def begin(self) -> None:
        """Turn away: readiness fails from now on."""
        self._begun = True

    def __bool__(self) -> bool:
        return self._begun
