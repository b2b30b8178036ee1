"""Quotas: limits on GPUs by region and GPU family, and on all GPUs of the project.

Usage is not counted here: it is read off the claims, so that it cannot drift from them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from controlplane.localcloud.scenario import ACCELERATORS, CAPACITIES, QuotaLimit
from controlplane.localcloud.stock.pools import Claim, Pool, Refused, StockError

PROJECT_METRIC = "GPUS_ALL_REGIONS"


class QuotaExceeded(Refused):
    """A quota of the region (or, with an empty region, of the project) is used up."""

    def __init__(self, metric: str, limit: float, region: str) -> None:
        where = f"in region {region}" if region else "globally"
        super().__init__(f"Quota '{metric.partition('/')[0]}' exceeded.  Limit: {limit:.1f} {where}.")
        self.metric = metric
        self.limit = limit
        self.region = region


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """A quota as it stands."""

    metric: str
    limit: float
    usage: float


class Quotas:
    """The limits, over the claims of a stock. A metric without a limit does not exist."""

    def __init__(self, limits: Iterable[QuotaLimit], claims: Callable[[], Iterable[Claim]]) -> None:
        self._limits = {(quota.region, quota.metric): quota.limit for quota in limits}
        self._claims = claims

    def set(self, metric: str, limit: float, region: str) -> None:
        """Change a limit; without a region, the project's own."""
        if not 0 <= limit < float("inf"):
            raise StockError(f"limit {limit} is not a usable number; give 0 or more")
        known = sorted(set(_metrics()))
        if not region and metric != PROJECT_METRIC:
            raise StockError(f"'{metric}' is a regional quota; name its region ({PROJECT_METRIC} is the project's)")
        if region and metric not in known:
            raise StockError(f"unknown quota metric '{metric}'; use one of {', '.join(known)}")
        self._limits[(region, metric)] = limit

    def of(self, region: str) -> list[QuotaUse]:
        """Give a region's quotas, or the project's, with their usage."""
        return [
            QuotaUse(metric, limit, self._usage(metric, region))
            for (where, metric), limit in sorted(self._limits.items())
            if where == region
        ]

    def check(self, pool: Pool, count: int) -> None:
        """Raise QuotaExceeded when so many more GPUs of a pool would pass a limit."""
        for region, metric in ((pool.region, _metric(pool)), ("", PROJECT_METRIC)):
            limit = self._limits.get((region, metric)) if metric else None
            if metric and limit is not None and self._usage(metric, region) + count > limit:
                raise QuotaExceeded(metric, limit, region)

    def to_state(self) -> list[list[str | float]]:
        """Give the limits as they stand."""
        return [[region, metric, limit] for (region, metric), limit in sorted(self._limits.items())]

    def from_state(self, state: Iterable[tuple[str, str, float]]) -> None:
        """Take over what `to_state` gave."""
        self._limits.update({(region, metric): limit for region, metric, limit in state})

    def _usage(self, metric: str, region: str) -> float:
        if not region:
            return sum(claim.count for claim in self._claims()) if metric == PROJECT_METRIC else 0
        return sum(c.count for c in self._claims() if c.pool.region == region and _metric(c.pool) == metric)


def _metric(pool: Pool) -> str | None:
    known = ACCELERATORS.get(pool.accelerator)
    return known.quota_metric(pool.capacity) or known.family_quota(pool.capacity) if known else None


def _metrics() -> Iterator[str]:
    for accelerator in ACCELERATORS.values():
        for capacity in CAPACITIES:
            if metric := accelerator.quota_metric(capacity) or accelerator.family_quota(capacity):
                yield metric
