"""How the service stands: what is held and asked for, what is an aim and what a bridge, and what each would cost."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from controlplane.decide import learning
from controlplane.decide.allocation import in_region
from controlplane.decide.candidates import Candidate
from controlplane.decide.filters import Context
from controlplane.decide.portfolio import Line, Portfolio, Terms
from controlplane.decide.valued.worth import supposed_price
from controlplane.decide.world import Holding, World
from controlplane.model.offering import Accelerator, Capacity

MOST_SPARES = 4
"""Spares at most where the user names no bound."""


@dataclass(frozen=True)
class Stand:
    """How the service stands: everything that the choices look at."""

    context: Context
    candidates: tuple[Candidate, ...]
    world: World
    terms: Terms

    @cached_property
    def by_key(self) -> dict[str, Candidate]:
        """The candidates by key."""
        return {c.key: c for c in self.candidates}

    @cached_property
    def _lasting(self) -> list[float]:
        """What on-demand costs by the rank of its GPU type, or of one that the user prefers; only where it may be."""
        prices = [math.inf] * (1 + max((c.accelerator_rank for c in self.candidates), default=0))
        for c in self.candidates:
            if c.offering.capacity is Capacity.ON_DEMAND and c.price is not None and self._allowed(c):
                prices[c.accelerator_rank] = min(prices[c.accelerator_rank], c.price)
        return list(accumulate(prices, min))

    @cached_property
    def _lasting_here(self) -> dict[tuple[str, Accelerator], float]:
        """What on-demand costs by region and GPU type: beside it in one region, Spot that is dearer is never an aim."""
        return {
            (c.region, c.offering.accelerator): c.price
            for c in self.candidates
            if c.offering.capacity is Capacity.ON_DEMAND and c.price is not None
        }

    @cached_property
    def _transient(self) -> float:
        """The rank of the best GPU type of which there is Spot to stand on."""
        aims = (c.accelerator_rank for c in self.candidates if self._cheaper(c) and self._allowed(c))
        return min(aims, default=math.inf)

    def _allowed(self, candidate: Candidate) -> bool:
        spec, offering = self.context.spec, candidate.offering
        named = offering.capacity in spec.capacity_types and offering.accelerator in spec.accelerators
        return named and spec.regions.permits(candidate.region)

    def _cheaper(self, candidate: Candidate) -> bool:
        """Tell whether this is no on-demand, and cheaper than on-demand of a GPU type that is no worse."""
        if candidate.offering.capacity is Capacity.ON_DEMAND:
            return False
        return candidate.price is None or candidate.price < self._lasting[candidate.accelerator_rank]

    def bridges(self, candidate: Candidate) -> bool:
        """Tell whether this is on-demand that only bridges what Spot of a GPU type that is no worse does not give."""
        return candidate.offering.capacity is Capacity.ON_DEMAND and candidate.accelerator_rank >= self._transient

    def is_aim(self, candidate: Candidate) -> bool:
        """Tell whether this is what the service wants to stand on: not a bridge, nor dearer than one."""
        if candidate.offering.capacity is Capacity.ON_DEMAND:
            return not self.bridges(candidate)
        if self._cheaper(candidate) or candidate.price is None:
            return True
        here = self._lasting_here.get((candidate.region, candidate.offering.accelerator), math.inf)
        return candidate.accelerator_rank < self._transient and candidate.price < here

    @cached_property
    def supposed(self) -> float:
        """What is taken for the price of an offering that has none: that of the cheapest on-demand."""
        return supposed_price(c for c in self.candidates if self._allowed(c))

    @cached_property
    def lines(self) -> dict[str, Line]:
        """Every offering as something to hold."""
        return {c.key: self._line(c) for c in self.candidates}

    def _line(self, candidate: Candidate) -> Line:
        lasts = candidate.offering.capacity is not Capacity.SPOT
        hazard = 0.0 if lasts else learning.hazard(candidate.past, self.context.now, candidate.advice)
        price = self.supposed if candidate.price is None else candidate.price
        return Line(candidate.key, candidate.region, price, hazard)

    @cached_property
    def kept(self) -> list[Holding]:
        """What the service means to keep and can be counted on."""
        return [h for h in self.world.holdings if h.kept and not h.lost and h.key in self.by_key]

    def obtained(self, *, bridging: bool | None = None) -> int:
        """Count replicas that have their GPUs and serve or may come to."""
        return sum(h.serving + h.warming for h in self._some(bridging))

    def asked(self, *, bridging: bool | None = None) -> int:
        """Count replicas that wait for GPUs."""
        return sum(0 if h.yielding else h.hunting for h in self._some(bridging))

    def bridges_to_spare(self) -> int:
        """Count on-demand replicas beyond what Spot does not serve yet; what warms may be lost before it does."""
        serving = sum(h.serving for h in self._some(bridging=False))
        return self.obtained(bridging=True) - max(0, self.terms.wanted - serving)

    def of_types_before(self, rank: int) -> int:
        """Count what the service stands on of the GPU types that the user prefers to the one of this rank."""
        better = (h for h in self._some(bridging=False) if self.by_key[h.key].accelerator_rank < rank)
        return sum(h.serving + h.warming for h in better)

    @cached_property
    def most_spares(self) -> int:
        """How many replicas beyond those wanted may be held."""
        bound = self.context.spec.policy.max_spares
        return MOST_SPARES if bound is None else bound

    @cached_property
    def aims_in_region(self) -> dict[str, int]:
        """Count by region what the service wants to stand on: a bridge is soon gone, and spreads nothing."""
        return in_region(tuple(self._some(bridging=False)))

    def _some(self, bridging: bool | None) -> list[Holding]:
        kept = self.kept
        return kept if bridging is None else [h for h in kept if self.bridges(self.by_key[h.key]) is bridging]

    @cached_property
    def aims(self) -> Portfolio:
        """What is held or asked for of what the service wants to stand on."""
        counts = {h.key: h.cover for h in self._some(bridging=False)}
        return Portfolio(self.terms, self.lines, counts)

    @cached_property
    def whole(self) -> Portfolio:
        """Everything that has its GPUs."""
        return Portfolio(self.terms, self.lines, {h.key: h.serving + h.warming for h in self.kept})
