"""What the service costs an hour, what the cap leaves, and how many replicas it can have under it (S4).

Everything counts that costs or may begin to: what serves, drains, waits for GPUs, and what stands in regions that
cannot be seen. A price that is not known is taken for the highest known one, for a cap must not be passed by ignorance.
"""

import math
from collections.abc import Mapping
from datetime import datetime

from controlplane.decide.allocation import worst_first
from controlplane.decide.candidates import Candidate
from controlplane.decide.world import World
from controlplane.model.service import ServiceSpec


def price_list(candidates: tuple[Candidate, ...]) -> dict[str, float]:
    """Give the price of a replica by offering key, where it is known."""
    return {c.key: c.price for c in candidates if c.price is not None}


def hourly_cost(world: World, prices: Mapping[str, float], *, running: bool = False) -> float:
    """Give the cost of all that stands; `running` leaves out what has no GPU yet."""
    dearest = max(prices.values(), default=0.0)
    standing = sum(
        (h.scheduled + h.extra if running else h.billed) * prices.get(h.key, dearest) for h in world.holdings
    )
    leaving = sum(
        sum(p.scheduled for p in w.pods if not p.failed) * prices.get(key, dearest) for key, w in world.removing.items()
    )
    return standing + leaving


def unpriced(world: World, prices: Mapping[str, float]) -> bool:
    """Tell whether something is held whose price is not known."""
    return any(h.key not in prices for h in world.holdings)


def left_of_cap(spec: ServiceSpec, world: World, prices: Mapping[str, float]) -> float | None:
    """Give what the cap leaves for more; None without a cap."""
    if spec.max_hourly_cost is None:
        return None
    return spec.max_hourly_cost - hourly_cost(world, prices)


def affordable_goal(spec: ServiceSpec, world: World, candidates: tuple[Candidate, ...], now: datetime) -> int:
    """Give how many replicas the service is to have: what is wanted, less what a lowered cap has no room for.

    The best-ranked are kept. One that serves is always kept: the cap ends growth, it does not end the service.
    What autoscalers add or may add is given up before anything that is wanted, and is no part of it.
    """
    cap = spec.max_hourly_cost
    if cap is None:
        return spec.replicas
    prices = price_list(candidates)
    beyond = sum((h.billed - h.owed) * prices.get(h.key, max(prices.values(), default=0.0)) for h in world.holdings)
    if hourly_cost(world, prices) - beyond <= cap + 1e-6:
        return spec.replicas
    dearest = max(prices.values(), default=0.0)
    kept = worst_first(spec, world.holdings, {c.key: c for c in candidates}, now)
    outside = sum(h.owed * prices.get(h.key, dearest) for h in world.holdings if not h.cover and not h.draining)
    cost = outside + sum(h.owed * prices.get(h.key, dearest) for h in kept)
    cover = sum(h.cover for h in kept)
    for holding in kept:
        price = prices.get(holding.key, dearest)
        if cost <= cap + 1e-6 or price <= 0:
            break
        drop = min(holding.cover, math.ceil((cost - cap - 1e-6) / price))
        cost -= drop * price
        cover -= drop
    return max(min(spec.replicas, cover), min(1, spec.replicas))
