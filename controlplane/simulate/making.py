"""Traces made for a call: from one seed or from several, like a service where one is given.

A made trace has regions of no name and a GPU of no type. To replay one's own service on it they must be the service's:
so what the call leaves open is taken from the service, and its price from the price table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median_low

from controlplane.api.prices import Prices, load_prices
from controlplane.api.problems import SpecError
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.service import ServiceSpec
from controlplane.simulate.asked import wrong
from controlplane.simulate.synthesis import Pattern, synthesize
from controlplane.simulate.trace import Trace

REGIONS, ON_DEMAND_PRICE, ACCELERATOR = 3, 10.0, "gpu"
MOST_SEEDS = 100
_OPTIONS = {"interval_seconds": "interval", "on_demand_price": "on-demand-price", "price_ratio": "price-ratio"}


@dataclass(frozen=True, slots=True)
class Making:
    """What traces are to be like. Of `seed` the next `seeds` are made; None is left to the service, or to defaults."""

    seed: int = 1
    seeds: int = 1
    pattern: Pattern = Pattern.GOOGLE
    zones: int = 9
    regions: str | None = None
    days: float = 27.0
    most: int | None = None
    interval: float = 300.0
    price_ratio: float = 4.5
    on_demand_price: float | None = None
    accelerator: str | None = None


def made(making: Making, spec: ServiceSpec | None = None) -> list[Trace]:
    """Make a trace of every seed. Raises SpecError, by the options' names, where none can be made of that."""
    if not 1 <= making.seeds <= MOST_SEEDS:
        raise wrong("--seeds", f"is {making.seeds}", f"use 1 to {MOST_SEEDS}")
    if making.accelerator is not None and not making.accelerator.strip():
        raise wrong("--accelerator", "is empty", "name a GPU type, or leave it out")
    kind = None if spec is None else spec.accelerators[0]
    price = making.on_demand_price
    if price is None:
        price = _listed(kind, making.accelerator)
    wanted = making.accelerator or (ACCELERATOR if kind is None else kind.type)
    regions = _regions(making.regions, spec)
    try:
        return [
            synthesize(
                seed,
                making.pattern,
                zones=making.zones,
                regions=regions,
                days=making.days,
                interval_seconds=making.interval,
                most=making.most,
                on_demand_price=price,
                price_ratio=making.price_ratio,
                accelerator=wanted,
            )
            for seed in range(making.seed, making.seed + making.seeds)
        ]
    except SpecError as error:
        problems = [replace(p, source="", path=f"--{_OPTIONS.get(p.path, p.path)}") for p in error.problems]
        raise SpecError(problems) from None


def _regions(text: str | None, spec: ServiceSpec | None) -> int | Sequence[str]:
    """Read how many regions, or which; those that a service names, if it names any."""
    if text is None:
        allowed = None if spec is None else spec.regions.allowed
        return sorted(allowed - spec.regions.denied) if spec is not None and allowed else REGIONS
    names = [name.strip() for name in text.split(",")]
    if names == [""] or not all(names):
        raise wrong("--regions", "has an empty name", "write 3, or names as in us-central1,us-east4")
    try:
        return int(text)
    except ValueError:
        return names


def _listed(kind: Accelerator | None, named: str | None) -> float:
    """Give what one replica costs on demand in most regions, by the price table; of a type it does not have, 10 USD."""
    wanted = Accelerator(named) if named is not None else kind
    if wanted is None:
        return ON_DEMAND_PRICE
    table: Prices = load_prices()
    prices = sorted(
        price for (name, _, sold), price in table.items() if (name, sold) == (wanted.type, Capacity.ON_DEMAND)
    )
    count = kind.count if kind is not None and kind.type == wanted.type else 1
    return round(median_low(prices) * count, 6) if prices else ON_DEMAND_PRICE
