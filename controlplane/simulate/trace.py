"""Capacity as it was recorded: so many replicas could be had in each zone, interval after interval.

A trace is the whole outer world of a replay. It is a value: whatever changes one (other zones, other prices) makes a
new one. Time is float seconds since the start of the trace.
"""

from collections.abc import Iterator
from dataclasses import dataclass

MOST_HELD, LARGEST_AMOUNT = 1_000_000, 1e9
"""The most replicas of a zone, and the largest price or time, that a trace can have in a file."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One place that sells spot replicas of one GPU type.

    `spot_price` is in USD per replica and hour; `capacity` holds for each interval of the trace how many replicas can
    be held at once.
    """

    name: str
    region: str
    spot_price: float
    capacity: tuple[int, ...]
    accelerator: str


@dataclass(frozen=True, slots=True)
class Trace:
    """Zones over the same intervals of time, and the price of on-demand (USD per replica and hour).

    Every zone has as many entries of capacity as every other, at least one; there is at least one zone.
    `reading.read_trace` sees to that for files.
    """

    name: str
    accelerator: str
    interval_seconds: float
    on_demand_price: float
    zones: tuple[Zone, ...]
    source: str = ""
    note: str = ""

    @property
    def intervals(self) -> int:
        """How many intervals were recorded."""
        return len(self.zones[0].capacity)

    @property
    def duration(self) -> float:
        """How long the trace lasts, in seconds."""
        return self.intervals * self.interval_seconds

    def capacity_at(self, zone_index: int, t: float) -> int:
        """Give the capacity of a zone at an instant; beyond the end the last one holds."""
        capacity = self.zones[zone_index].capacity
        return capacity[min(int(t / self.interval_seconds), len(capacity) - 1)]

    def changes(self) -> Iterator[tuple[float, int, int]]:
        """Give (time, zone index, new capacity) of every change after the start, in order of time."""
        columns = [zone.capacity for zone in self.zones]
        for step in range(1, self.intervals):
            for index, capacity in enumerate(columns):
                if capacity[step] != capacity[step - 1]:
                    yield step * self.interval_seconds, index, capacity[step]
