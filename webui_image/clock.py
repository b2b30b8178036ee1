"""Time and chance: the one place that asks the machine for either.

Everything else gets a `Clock` as a parameter, so that tests decide what time it is and which seed is drawn.
"""

import secrets
import threading
import time
from datetime import UTC, datetime
from typing import Protocol

LARGEST_SEED = 2**32 - 1


class Clock(Protocol):
    """What the time is, and waiting for some of it to pass."""

    def monotonic(self) -> float:
        """Give seconds since some fixed moment; never goes back."""
        ...

    def now(self) -> datetime:
        """Give the time of day, in UTC."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, `seconds` at most; tell whether it is."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Give seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def now(self) -> datetime:
        """Give the time of day, in UTC."""
        return datetime.now(UTC)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, `seconds` at most; tell whether it is."""
        return event.wait(seconds)


def random_seed() -> int:
    """Draw a seed for a request that left it open (-1): 0 to 2**32 - 1, as A1111 does."""
    return secrets.randbelow(LARGEST_SEED + 1)


def new_id() -> str:
    """Draw an identifier for a request: 16 hexadecimal digits."""
    return secrets.token_hex(8)
