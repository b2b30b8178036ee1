"""How the service stands: what is held and asked for, what is an aim and what a bridge, and what each would cost."""

from dataclasses import dataclass
from functools import cached_property

from controlplane.decide import learning
from controlplane.decide.candidates import Candidate
from controlplane.decide.filters import Context
from controlplane.decide.portfolio import Line, Portfolio, Terms
from controlplane.decide.world import Holding, World
from controlplane.model.offering import Capacity


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
    def bridge_price(self) -> float | None:
        """What on-demand costs where it stands beside something else to buy; None where it is no bridge."""
        if all(c.offering.capacity is Capacity.ON_DEMAND for c in self.candidates):
            return None
        prices = [c.price for c in self.candidates if c.offering.capacity is Capacity.ON_DEMAND and c.price is not None]
        return min(prices, default=None)

    def bridges(self, candidate: Candidate) -> bool:
        """Tell whether this is on-demand that only bridges what Spot does not give."""
        return self.bridge_price is not None and candidate.offering.capacity is Capacity.ON_DEMAND

    def is_aim(self, candidate: Candidate) -> bool:
        """Tell whether this is what the service wants to stand on: not a bridge, nor dearer than one."""
        if self.bridge_price is None or candidate.price is None:
            return not self.bridges(candidate)
        return not self.bridges(candidate) and candidate.price < self.bridge_price

    @cached_property
    def lines(self) -> dict[str, Line]:
        """Every offering as something to hold."""
        return {c.key: self._line(c) for c in self.candidates}

    def _line(self, candidate: Candidate) -> Line:
        dearest = self.bridge_price or 0.0
        lasts = candidate.offering.capacity is not Capacity.SPOT
        hazard = 0.0 if lasts else learning.hazard(candidate.past, self.context.now, candidate.advice)
        price = dearest if candidate.price is None else candidate.price
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
