"""How the service stands: what is held and what is asked for, of that on which it means to stand and of bridges."""

from dataclasses import dataclass
from functools import cached_property

from controlplane.decide.allocation import in_region
from controlplane.decide.candidates import Candidate
from controlplane.decide.filters import Context
from controlplane.decide.portfolio import Line, Portfolio, Terms
from controlplane.decide.valued.offers import Offers
from controlplane.decide.world import Holding, World

MOST_SPARES = 4
"""Spares at most where the user names no bound."""


@dataclass(frozen=True)
class Stand:
    """How the service stands: everything that the choices look at."""

    context: Context
    offers: Offers
    world: World
    terms: Terms

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates, in their stable order."""
        return self.offers.candidates

    @property
    def by_key(self) -> dict[str, Candidate]:
        """The candidates by key."""
        return self.offers.by_key

    @property
    def lines(self) -> dict[str, Line]:
        """Every offering as something to hold."""
        return self.offers.lines

    def bridges(self, what: Candidate | Holding) -> bool:
        """Tell whether this is on-demand that only bridges what Spot of a GPU type that is no worse does not give."""
        return what.key in self.offers.bridges

    def is_aim(self, candidate: Candidate) -> bool:
        """Tell whether this is what the service wants to stand on: not a bridge, nor dearer than one."""
        return candidate.key in self.offers.aims

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
        return kept if bridging is None else [h for h in kept if self.bridges(h) is bridging]

    @cached_property
    def aims(self) -> Portfolio:
        """What is held or asked for of what the service wants to stand on."""
        counts = {h.key: h.cover for h in self._some(bridging=False)}
        return Portfolio(self.terms, self.lines, counts)

    @cached_property
    def lasting(self) -> Portfolio:
        """Everything that has its GPUs, but bridges."""
        counts = {h.key: h.serving + h.warming for h in self._some(bridging=False)}
        return Portfolio(self.terms, self.lines, counts)

    @cached_property
    def whole(self) -> Portfolio:
        """Everything that has its GPUs."""
        return Portfolio(self.terms, self.lines, {h.key: h.serving + h.warming for h in self.kept})
