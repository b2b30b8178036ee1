"""What is decided about in one pass, with what the pass has learnt so far; and what a way of allocating comes to."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

from controlplane.decide.allocation import Pick, in_region
from controlplane.decide.attempts import Judged
from controlplane.decide.candidates import Blocks, Candidate
from controlplane.decide.expenses import left_of_cap
from controlplane.decide.failback import Return
from controlplane.decide.filters import Context, refusals
from controlplane.decide.world import World
from controlplane.model.memory import Memory
from controlplane.model.observation import Observation
from controlplane.model.reasons import Reason
from controlplane.model.service import ServiceSpec

MOST_NEW_REPLICAS = 20
"""How many replicas one pass asks for at most; the next pass goes on from there."""


@dataclass(frozen=True)
class Case:
    """What is decided about, with what this pass has learnt so far."""

    spec: ServiceSpec
    observation: Observation
    memory: Memory
    now: datetime
    judged: Judged
    candidates: tuple[Candidate, ...]
    prices: dict[str, float]
    blocks: Blocks

    def context(self, world: World) -> Context:
        """Give what filters look at, for a world that this decision has come to."""
        return Context(
            spec=self.spec,
            observation=self.observation,
            world=world,
            blocks=self.blocks,
            now=self.now,
            budget=left_of_cap(self.spec, self.judged.world, self.prices),
            in_region=in_region(world.holdings),
            hunting_since=self.memory.below_target_since,
        )

    @property
    def whole_since(self) -> datetime | None:
        """Since when enough replicas serve without a break; what is out of sight counts as long as it covers."""
        serving = sum(h.serving for h in self.judged.world.holdings if h.kept and not h.lost)
        return (self.memory.whole_since or self.now) if serving >= self.spec.replicas else None

    @cached_property
    def by_key(self) -> dict[str, Candidate]:
        """The candidates by key."""
        return {c.key: c for c in self.candidates}

    def cramped(self, context: Context) -> bool:
        """Tell whether the cost cap alone keeps something from being tried."""
        capped = [Reason.OVER_COST_CAP]
        return self.spec.max_hourly_cost is not None and any(
            [r.reason for r in refusals(context, c)] == capped for c in self.candidates
        )


class Scales(Protocol):
    """What weighs an offering: its score, the lower the better, and words for it."""

    def weigh(self, candidate: Candidate, /) -> tuple[float, str]:
        """Give the score and the words."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What is held beside what the service means to stand on.

    bridges: the keys of offerings that only bridge. bridging, spares: how many replicas do that, or are spares.
    """

    bridges: frozenset[str]
    bridging: int
    spares: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a way of allocating arrives: the world as it is meant to be, and the attempts to begin.

    missing: fewer replicas are held or asked for than the goal. scales: what the offerings were weighed by, where that
    is not the sum of `controlplane.decide.scoring`. beside: None where everything held is meant to stay.
    """

    world: World
    picks: tuple[Pick, ...]
    missing: bool
    feedback: Return = field(default_factory=Return)
    scales: Scales | None = None
    beside: Beside | None = None
