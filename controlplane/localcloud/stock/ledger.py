"""The GPUs that Google Cloud has, the ones in use, and the quotas: one ledger for all clusters.

A node takes its GPUs from a pool (zone, accelerator, capacity type) when its VM is created and gives them back when the
VM goes. Being sold out is a state of its own and not a count of 0: a stock-out leaves running VMs alone and only
refuses new ones, and a restock brings back what was there before.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from controlplane.localcloud.scenario import ACCELERATORS, CAPACITIES, Scenario
from controlplane.localcloud.stock.pools import Claim, Pool, PoolState, Refused, StockError, StockOut
from controlplane.localcloud.stock.quotas import PROJECT_METRIC, QuotaExceeded, Quotas, QuotaUse

__all__ = [
    "PROJECT_METRIC",
    "Claim",
    "Pool",
    "PoolState",
    "QuotaExceeded",
    "QuotaUse",
    "Refused",
    "Stock",
    "StockError",
    "StockOut",
]


class Stock:
    """The ledger. Every change tells the listeners, so that nobody needs to poll."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._totals = {Pool(e.zone, e.accelerator, e.capacity): e.count for e in scenario.stock}
        self._initial = dict(self._totals)
        self._regions = tuple(region.name for region in scenario.regions)
        self._replayed: set[Pool] = set()
        self._sold_out: set[Pool] = set()
        self._down: set[str] = set()
        self._claims: dict[str, Claim] = {}
        self._quotas = Quotas(scenario.quotas, self._claims.values)
        self._listeners: list[Callable[[], None]] = []
        for trace in scenario.traces:
            for zone in trace.counts:
                pool = Pool(zone, trace.accelerator, trace.capacity)
                self._totals.setdefault(pool, 0)
                self._replayed.add(pool)

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called after every change; gives the way to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _changed(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    # What there is

    def offers(self, zone: str, accelerator: str) -> bool:
        """Tell whether a zone has this GPU type at all, sold out or not."""
        return any(pool.zone == zone and pool.accelerator == accelerator for pool in self._totals)

    def in_use(self, pool: Pool) -> int:
        """Give how many GPUs of a pool nodes hold."""
        return sum(claim.count for claim in self._claims.values() if claim.pool == pool)

    def free(self, pool: Pool) -> int:
        """Give how many GPUs a new node could get now."""
        if pool in self._sold_out or pool.region in self._down:
            return 0
        return max(0, self._totals.get(pool, 0) - self.in_use(pool))

    def shortage(self, pool: Pool) -> int:
        """Give how many GPUs of a replayed pool are in use beyond what there is, those already ending left out."""
        if pool not in self._replayed:
            return 0
        staying = sum(c.count for c in self._claims.values() if c.pool == pool and not c.going)
        return max(0, staying - self._totals[pool])

    def pools(self, zones: Iterable[str] | None = None) -> list[PoolState]:
        """Give the state of all pools, or of those in some zones, in order."""
        wanted = None if zones is None else set(zones)
        return [
            PoolState(pool, self._totals[pool], self.in_use(pool), self.free(pool), pool in self._sold_out)
            for pool in sorted(self._totals)
            if wanted is None or pool.zone in wanted
        ]

    # Taking and giving back

    def take(self, pool: Pool, count: int, holder: str) -> None:
        """Take GPUs for a VM. Raises StockOut or QuotaExceeded, quota first, as Compute Engine checks it first."""
        if holder in self._claims:
            return
        self._quotas.check(pool, count)
        if self.free(pool) < count:
            raise StockOut(pool.zone)
        self.claim(pool, count, holder)

    def claim(self, pool: Pool, count: int, holder: str) -> None:
        """Note that a VM which exists holds GPUs, whatever the stock says; done again, it changes nothing."""
        if holder not in self._claims:
            self._totals.setdefault(pool, 0)
            self._claims[holder] = Claim(pool, count)
            self._changed()

    def mark_going(self, holder: str) -> None:
        """Note that a VM has its notice: it holds its GPUs until it ends, and no other VM need end in its place."""
        if (claim := self._claims.get(holder)) is not None and not claim.going:
            self._claims[holder] = replace(claim, going=True)

    def give_back(self, holder: str, *, lost: bool = False) -> None:
        """Note that a VM is gone; `lost` when somebody else has its GPUs now. Done again, it changes nothing."""
        claim = self._claims.pop(holder, None)
        if claim is None:
            return
        if lost and claim.pool not in self._replayed:
            self._totals[claim.pool] = max(0, self._totals[claim.pool] - claim.count)
        self._changed()

    def holders(self, cluster: str) -> tuple[str, ...]:
        """Give the names of a cluster's nodes that hold GPUs."""
        return tuple(h.removeprefix(f"{cluster}/") for h in self._claims if h.startswith(f"{cluster}/"))

    # Changes from outside

    def stock_out(self, place: str, accelerator: str | None = None, capacity: str | None = None) -> list[Pool]:
        """Let a zone's or region's GPUs be sold out: running nodes stay, new ones are refused."""
        pools = self._select(place, accelerator, capacity)
        self._sold_out.update(pools)
        self._changed()
        return pools

    def restock(
        self,
        place: str | None = None,
        accelerator: str | None = None,
        capacity: str | None = None,
        count: int | None = None,
    ) -> list[Pool]:
        """End a stock-out and bring back the scenario's stock, or `count` free GPUs in each pool named."""
        pools = self._select(place, accelerator, capacity)
        if count is not None and count < 0:
            raise StockError(f"count {count} is negative; give 0 or more")
        for pool in pools:
            self._sold_out.discard(pool)
            if pool in self._replayed and count is None:
                continue
            wanted = self._initial.get(pool, 0) if count is None else count + self.in_use(pool)
            self._totals[pool] = wanted
        self._changed()
        return pools

    def set_total(self, pool: Pool, total: int) -> None:
        """Set what a replayed pool has at this moment."""
        if self._totals.get(pool) != total:
            self._totals[pool] = total
            self._changed()

    def _select(self, place: str | None, accelerator: str | None, capacity: str | None) -> list[Pool]:
        if accelerator is not None and accelerator not in ACCELERATORS:
            raise StockError(f"unknown accelerator '{accelerator}'; use one of {', '.join(ACCELERATORS)}")
        if capacity is not None and capacity not in CAPACITIES:
            raise StockError(f"unknown capacity type '{capacity}'; use one of {', '.join(CAPACITIES)}")
        zones = {pool.zone for pool in self._totals}
        known = {*self._regions, *zones}
        if place is not None and place not in known:
            raise StockError(f"unknown region or zone '{place}'; use one of {', '.join(sorted(known))}")
        pools = [
            pool
            for pool in sorted(self._totals)
            if place in (None, pool.zone, pool.region)
            and accelerator in (None, pool.accelerator)
            and capacity in (None, pool.capacity)
        ]
        if not pools:
            wish = " ".join(part for part in (accelerator, capacity) if part)
            raise StockError(f"{place or 'the project'} has no {wish or 'GPUs'}; `stock` lists what there is")
        return pools

    # Regions

    def region_down(self, region: str) -> None:
        """Take a whole region away."""
        self._check_region(region)
        self._down.add(region)
        self._changed()

    def region_up(self, region: str) -> None:
        """Bring a region back."""
        self._check_region(region)
        self._down.discard(region)
        self._changed()

    def is_down(self, region: str) -> bool:
        """Tell whether a region is away."""
        return region in self._down

    @property
    def regions_down(self) -> tuple[str, ...]:
        """The regions that are away."""
        return tuple(sorted(self._down))

    def _check_region(self, region: str) -> None:
        if region not in self._regions:
            raise StockError(f"unknown region '{region}'; use one of {', '.join(self._regions)}")

    # Quotas

    def set_quota(self, metric: str, limit: float, region: str = "") -> None:
        """Change a limit; without a region, the project's own."""
        if region:
            self._check_region(region)
        self._quotas.set(metric, limit, region)
        self._changed()

    def quotas(self, region: str = "") -> list[QuotaUse]:
        """Give a region's quotas, or the project's, with their usage."""
        return self._quotas.of(region)

    # Keeping

    def to_state(self) -> dict[str, Any]:
        """Give what must outlive the daemon. Claims are not in it: the nodes themselves are the record of those."""
        return {
            "totals": [[*_key(pool), total] for pool, total in sorted(self._totals.items())],
            "sold_out": [_key(pool) for pool in sorted(self._sold_out)],
            "down": sorted(self._down),
            "limits": self._quotas.to_state(),
        }

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `to_state` gave."""
        for zone, accelerator, capacity, total in state.get("totals", ()):
            self._totals[Pool(zone, accelerator, capacity)] = total
        self._sold_out = {Pool(*key) for key in state.get("sold_out", ())}
        self._down = set(state.get("down", ()))
        self._quotas.from_state(state.get("limits", ()))
        self._changed()


def _key(pool: Pool) -> list[str]:
    return [pool.zone, pool.accelerator, pool.capacity]
