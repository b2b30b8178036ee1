"""A replay in as many columns as a picture has room for.

27 days hold thousands of leases, and a picture some thousand pixels. Averages would hide a shortage of three minutes,
so the lowest count of a column is kept beside its mean.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from controlplane.simulate.ledger import Lease
from controlplane.simulate.trace import Zone


@dataclass(frozen=True, slots=True)
class Bins:
    """`count` columns of equal width over `duration` seconds."""

    duration: float
    count: int

    @property
    def width(self) -> float:
        """Seconds per column."""
        return self.duration / self.count

    def overlaps(self, start: float, end: float) -> Iterator[tuple[int, float]]:
        """Give (column, share of the column covered) for a span of time; what lies outside is cut off."""
        start, end = max(0.0, start), min(self.duration, end)
        if start >= end:
            return
        for column in range(int(start / self.width), min(self.count, int(end / self.width) + 1)):
            share = (min(end, (column + 1) * self.width) - max(start, column * self.width)) / self.width
            if share > 0:
                yield column, share

    def held(self, leases: Iterable[Lease]) -> tuple[list[float], list[float]]:
        """Give how many were warming and how many ready in each column, on average."""
        warming, ready = [0.0] * self.count, [0.0] * self.count
        for lease in leases:
            end = self.duration if lease.ended_at is None else lease.ended_at
            for column, share in self.overlaps(lease.requested_at, min(lease.ready_at, end)):
                warming[column] += share
            for column, share in self.overlaps(lease.ready_at, end):
                ready[column] += share
        return warming, ready

    def missing(self, zone: Zone, interval: float, wanted: int) -> list[float]:
        """Give how much of the room for `wanted` replicas a zone lacked in each column: 0 none, 1 all, all the time."""
        missing = [0.0] * self.count
        for step, capacity in enumerate(zone.capacity):
            lack = 1 - min(capacity, wanted) / wanted
            if lack:
                for column, share in self.overlaps(step * interval, (step + 1) * interval):
                    missing[column] += lack * share
        return missing

    def ready(self, readiness: Sequence[tuple[float, int]], since: float) -> tuple[list[float], list[int | None]]:
        """Give the mean and the lowest number of ready replicas per column, from (time, ready from then on).

        The lowest is that from `since` on, None in columns before that.
        """
        mean = [0.0] * self.count
        lowest: list[int | None] = [None] * self.count
        for (at, count), (until, _) in pairwise([*readiness, (self.duration, 0)]):
            for column, share in self.overlaps(at, until):
                mean[column] += count * share
            for column, _ in self.overlaps(max(at, since), until):
                known = lowest[column]
                lowest[column] = count if known is None else min(known, count)
        return mean, lowest

    def gather(self, times: Iterable[float], columns: int) -> list[tuple[float, int]]:
        """Give (mean time, how many) for spans of so many columns in which any of these times fell."""
        spans: dict[int, list[float]] = {}
        for at in times:
            spans.setdefault(int(at / (self.width * columns)), []).append(at)
        return [(sum(found) / len(found), len(found)) for _, found in sorted(spans.items())]
