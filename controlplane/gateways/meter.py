"""How many requests went to Google Cloud's APIs, and how many more a pass may make.

The APIs' own quotas are by the minute and by the project, and others call them too. So a pass promises at most six
calls and four for each region; what it must know comes first, and what only orders the choice (the capacity advice)
takes what is left. Tokens are not counted: they are asked for once an hour.
"""

import sys
import threading

FIXED = 6
PER_REGION = 4


class Meter:
    """Counts requests, retries included. Outside of passes there is no bound."""

    def __init__(self) -> None:
        self._calls = 0
        self._lock = threading.Lock()
        self._before: int | None = None

    @property
    def calls(self) -> int:
        """How many requests there were so far."""
        return self._calls

    def count(self) -> None:
        """Take down a request."""
        with self._lock:
            self._calls += 1

    def begin(self) -> None:
        """Take down that a pass begins."""
        self._before = self._calls

    def left(self, regions: int) -> int:
        """Give how many calls a pass over so many regions may still make."""
        if self._before is None:
            return sys.maxsize
        return max(0, FIXED + PER_REGION * regions - (self._calls - self._before))
