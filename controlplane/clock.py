"""The one place of the reconciler where time passes and chance has a say.

Everything else is given `now`, or one of these objects, so that tests run hours in milliseconds.
"""

import random
import time
import uuid
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the engine needs of time."""

    def now(self) -> datetime:
        """Give the present instant, in UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never go back, for deadlines."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the present instant, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def new_run_id() -> str:
    """Give a short id that tells one run's log lines from another's."""
    return uuid.uuid4().hex[:10]


def jitter(spread: float) -> float:
    """Give a random factor between 1 and 1 + spread, so that two callers do not retry in step."""
    return 1 + random.random() * spread  # noqa: S311
