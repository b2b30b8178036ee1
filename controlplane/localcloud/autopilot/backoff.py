"""The autoscaler's back-off: a shape that failed is left alone, longer each time, and forgiven after hours of peace.

It belongs to the shape and not to the Pod, so deleting and recreating Pods gains nothing. Several failures at once are
one failure. A success of the same shape ends it; a success of another does not.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.scenario import Delays


@dataclass(frozen=True, slots=True)
class _Entry:
    seconds: float
    until: float
    failed_at: float


class Backoff:
    """Which shapes are left alone, and until when."""

    def __init__(self, clock: Clock, delays: Callable[[], Delays]) -> None:
        self._clock = clock
        self._delays = delays
        self._entries: dict[Hashable, _Entry] = {}

    def remaining(self, shape: Hashable) -> float:
        """Give the seconds until the shape may be tried; 0 when it may now."""
        entry = self._entries.get(shape)
        return max(0.0, entry.until - self._clock.monotonic()) if entry else 0.0

    def failed(self, shape: Hashable) -> None:
        """Note a failure."""
        now, delays, entry = self._clock.monotonic(), self._delays(), self._entries.get(shape)
        if entry is None or now - entry.failed_at >= delays.backoff_reset:
            seconds = delays.backoff_initial
        elif now < entry.until:
            return
        else:
            seconds = min(entry.seconds * 2, delays.backoff_max)
        self._entries[shape] = _Entry(seconds, now + seconds, now)

    def succeeded(self, shape: Hashable) -> None:
        """Forget the shape's failures."""
        self._entries.pop(shape, None)
