"""GPU prices: USD per GPU-hour by GPU type, region and capacity type.

Google Cloud has no call in the clients used here that gives on-demand prices, so they are a table that is part of the
configuration; live Spot prices from capacity history override it where they can be had. Price tables contain anomalies,
so a table is checked when it is loaded, and the decision uses price as a tie-breaker and for the cap only.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controlplane.api.catalogue import ACCELERATORS, REGIONS
from controlplane.api.loading import Document, load_documents
from controlplane.api.problems import Problem, SpecError, did_you_mean
from controlplane.model.offering import Capacity
from controlplane.model.service import ServiceSpec

DEFAULT_TABLE = Path(__file__).with_name("prices.yaml")
# (GPU type, region, capacity type) -> USD per GPU-hour.
Prices = Mapping[tuple[str, str, Capacity], float]


def load_prices(path: Path = DEFAULT_TABLE) -> Prices:
    """Read a price table. Raises SpecError with file, line and remedy."""
    document = load_documents(path)[0]
    problems: list[Problem] = []
    prices: dict[tuple[str, str, Capacity], float] = {}
    for accelerator, regions in document.object.items():
        if accelerator not in ACCELERATORS:
            advice = did_you_mean(str(accelerator), ACCELERATORS, "remove it")
            problems.append(_at(document, str(accelerator), "is not a GPU type of GKE", advice))
        elif not isinstance(regions, Mapping):
            problems.append(_at(document, accelerator, "is not a mapping", "write regions and their prices below it"))
        else:
            for region, row in regions.items():
                problems += _row(document, accelerator, str(region), row, prices)
    if problems:
        raise SpecError(problems)
    return prices


def _row(
    document: Document, accelerator: str, region: str, row: Any, prices: dict[tuple[str, str, Capacity], float]
) -> list[Problem]:
    path = f"{accelerator}.{region}"
    if region not in REGIONS:
        return [_at(document, path, "is not a region of Google Cloud", did_you_mean(region, REGIONS, "remove it"))]
    if not isinstance(row, Mapping) or not row:
        return [_at(document, path, "is not a mapping", "write {on-demand: 0.56, spot: 0.22}")]
    known = {capacity.value for capacity in Capacity}
    for name, price in row.items():
        if name not in known:
            return [_at(document, f"{path}.{name}", "is not a capacity type", f"use one of {', '.join(sorted(known))}")]
        number = isinstance(price, int | float) and not isinstance(price, bool) and math.isfinite(price)
        if not number or price <= 0:
            return [_at(document, f"{path}.{name}", f"{price!r} is not a price", "give USD an hour above zero")]
        prices[accelerator, region, Capacity(name)] = float(price)
    spot, on_demand = row.get("spot"), row.get("on-demand")
    if spot is not None and on_demand is not None and spot > on_demand:
        return [_at(document, path, "spot is dearer than on-demand", "one of them is not the price that is billed")]
    return []


def _at(document: Document, path: str, what: str, remedy: str) -> Problem:
    return Problem(path, what, remedy, document.place(path))


def cheapest(spec: ServiceSpec, prices: Prices) -> float | None:
    """Give the least that one replica can cost an hour where the service may run, or None if no price is known."""
    costs = [
        price * accelerator.count
        for (kind, region, capacity), price in prices.items()
        for accelerator in spec.accelerators
        if kind == accelerator.type and capacity in spec.capacity_types and spec.regions.permits(region)
    ]
    return min(costs, default=None)


def check_affordable(spec: ServiceSpec, prices: Prices, *, source: str) -> None:
    """Raise SpecError when the cap is below the cheapest thing that could be had."""
    least = cheapest(spec, prices)
    cap = spec.max_hourly_cost
    if cap is not None and least is not None and cap < least:
        remedy = f"allow at least {least:g} USD an hour for one replica"
        what = f"the cap of {cap:g} USD an hour is below the cheapest offering ({least:g})"
        raise SpecError([Problem("spec.maxHourlyCost", what, remedy, source)])
