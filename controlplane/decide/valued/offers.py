"""What can be bought, looked at as money: which of it the service means to stand on, and what only bridges.

Spot is cheap and goes away, on-demand is dear and stays. Where Spot is the cheaper, the service stands on it, and
on-demand bridges what Spot does not give. Where it is not, the service stands on on-demand.
"""

import math
from collections.abc import Iterable
from datetime import datetime
from itertools import accumulate

from controlplane.decide import learning
from controlplane.decide.attempts import NOTHING_LEARNT
from controlplane.decide.candidates import Candidate
from controlplane.decide.portfolio import Line
from controlplane.decide.valued.worth import supposed_price
from controlplane.model.offering import Capacity
from controlplane.model.service import ServiceSpec


class Offers:
    """All offerings of a pass by key: each as something to hold, which of them are aims, and which bridges.

    Looked at once a pass; only what stands, and what each replica is worth, differs from step to step.
    """

    __slots__ = ("aims", "bridges", "by_key", "candidates", "lines")

    def __init__(self, spec: ServiceSpec, candidates: tuple[Candidate, ...], now: datetime) -> None:
        self.candidates = candidates
        self.by_key = {c.key: c for c in candidates}
        allowed = [c for c in candidates if _allowed(spec, c)]
        ranks = 1 + max((c.accelerator_rank for c in candidates), default=0)
        lasting = _lasting(allowed, ranks)
        cheaper = {c.key for c in candidates if _cheaper(c, lasting)}
        transient = min((c.accelerator_rank for c in allowed if c.key in cheaper), default=ranks)
        on_demand = [c for c in candidates if c.offering.capacity is Capacity.ON_DEMAND]
        self.bridges = frozenset(c.key for c in on_demand if c.accelerator_rank >= transient)
        self.aims = frozenset(
            [
                *cheaper,
                *(c.key for c in on_demand if c.accelerator_rank < transient),
                *(_beside(candidates, on_demand, transient) if transient else ()),
            ]
        )
        supposed, plain = supposed_price(allowed), learning.hazard(NOTHING_LEARNT, now)
        self.lines = {c.key: _line(c, supposed, plain, now) for c in candidates}


def _allowed(spec: ServiceSpec, candidate: Candidate) -> bool:
    offering = candidate.offering
    if not spec.regions.permits(candidate.region):
        return False
    unchanged = candidate.holding is None  # only what is held may be what the spec names no longer
    return unchanged or (offering.capacity in spec.capacity_types and offering.accelerator in spec.accelerators)


def _lasting(allowed: Iterable[Candidate], ranks: int) -> list[float]:
    """Give what on-demand costs by the rank of its GPU type, or of one that the user prefers."""
    prices = [math.inf] * ranks
    for c in allowed:
        if c.offering.capacity is Capacity.ON_DEMAND and c.price is not None and c.price < prices[c.accelerator_rank]:
            prices[c.accelerator_rank] = c.price
    return list(accumulate(prices, min))


def _cheaper(candidate: Candidate, lasting: list[float]) -> bool:
    """Tell whether this is no on-demand, and cheaper than on-demand of a GPU type that is no worse."""
    if candidate.offering.capacity is Capacity.ON_DEMAND:
        return False
    return candidate.price is None or candidate.price < lasting[candidate.accelerator_rank]


def _beside(candidates: Iterable[Candidate], on_demand: Iterable[Candidate], transient: int) -> list[str]:
    """Give the Spot of GPU types that the service stands on by on-demand, where it is cheaper than that in its region.

    The on-demand that is cheaper still may be sold out, or its region full.
    """
    here = {(c.region, c.accelerator_rank): c.price for c in on_demand if c.price is not None}
    return [
        c.key
        for c in candidates
        if c.accelerator_rank < transient
        and c.offering.capacity is not Capacity.ON_DEMAND
        and c.price is not None
        and c.price < here.get((c.region, c.accelerator_rank), math.inf)
    ]


def _line(candidate: Candidate, supposed: float, plain: float, now: datetime) -> Line:
    price = supposed if candidate.price is None else candidate.price
    if candidate.offering.capacity is not Capacity.SPOT:
        hazard = 0.0
    elif candidate.past is NOTHING_LEARNT and candidate.advice is None:
        hazard = plain
    else:
        hazard = learning.hazard(candidate.past, now, candidate.advice)
    return Line(candidate.key, candidate.region, price, hazard)
