"""What Pods use, as a metrics server tells it: a rate over the time between two looks, for Pods that were seen twice.

Where it comes from is a Protocol of one method, so that tests give figures and the daemon measures processes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from controlplane.localcloud.clock import Clock

RESOLUTION_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A Pod's CPU: thousandths of a core, over the `window` seconds before `at`."""

    milli: int
    at: datetime
    window: float = RESOLUTION_SECONDS


class PodMetrics(Protocol):
    """Who knows what Pods use."""

    def cpu(self, namespace: str, pod: str) -> Sample | None:
        """Give the latest sample, None where there is none."""
        ...


class NoMetrics:
    """A cluster without a metrics server."""

    def cpu(self, namespace: str, pod: str) -> Sample | None:
        """Give nothing."""
        return None


class MeasuredCpu:
    """Turns the CPU time that Pods have used so far into samples.

    read: gives, by (namespace, Pod), the seconds of CPU time since its processes began. wanted: whether anybody asks;
    nothing is measured for nobody.
    """

    def __init__(
        self, read: Callable[[], Mapping[tuple[str, str], float]], clock: Clock, *, wanted: Callable[[], bool]
    ) -> None:
        self._read, self._clock, self._wanted = read, clock, wanted
        self._before: tuple[float, Mapping[tuple[str, str], float]] | None = None
        self._samples: dict[tuple[str, str], Sample] = {}

    def cpu(self, namespace: str, pod: str) -> Sample | None:
        """Give the latest sample."""
        return self._samples.get((namespace, pod))

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self.measure()
            await self._clock.sleep(RESOLUTION_SECONDS)

    def measure(self) -> None:
        """Look once; what ran at the look before as well has a sample from now on."""
        if not self._wanted():
            self._before, self._samples = None, {}
            return
        at, used = self._clock.monotonic(), dict(self._read())
        if self._before is not None and (window := at - self._before[0]) > 0:
            past = self._before[1]
            # A container that was started again counts from nothing: what it had used before is gone with it.
            self._samples = {
                key: Sample(round(1000 * (seconds - past[key]) / window), self._clock.now(), window)
                for key, seconds in used.items()
                if key in past and seconds >= past[key]
            }
        self._before = at, used
