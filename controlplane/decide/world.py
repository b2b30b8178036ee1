"""What stands where: the values that every step of a decision reads, and what serves behind a load balancer.

A `Holding` is one placement, a `World` all of them with the facts about clusters. How they come about from memory and
observation is the matter of `look.py`; which of the replicas serve is told here, for a service that moves between two
kinds of ingress is looked at behind each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import is_

from controlplane.model.facts import Known
from controlplane.model.memory import Attempt, Phase
from controlplane.model.observation import IngressFact, PodFact, WorkloadFact
from controlplane.model.offering import ClusterRef, Offering
from controlplane.model.service import ServiceSpec
from controlplane.model.template import spec_template_hash

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Holding:
    """A placement as this pass sees it.

    visible: its cluster was read in this pass. lost: it was not, for longer than the grace.
    leaving: its cluster stops being a member; it stays until its replacement serves.
    target: replicas it is meant to hold; scheduled >= ready >= serving of them have come that far.
    impaired: replicas that hold GPUs for longer than the warm-up may take without serving.
    yielding: its pending replicas lost their GPUs here a moment ago, so others are tried too.
    rolling: it was given another template, and was not seen to serve with it alone up to the last pass.
    ceiling: how many replicas its autoscaler may come to by itself; 0 where it has none. Of such a placement, workload
    is what is wanted of it alone: grown is what its Deployment is set to as a whole, and extra of its Pods beyond those
    wanted have GPUs; extra_ready of them are ready. beside: those Pods, with and without GPUs.
    unscaled: why no autoscaler could be made for it, and unscaled_at when that was tried.
    """

    offering: Offering
    workload: WorkloadFact | None
    visible: bool
    lost: bool
    permitted: bool
    target: int
    scheduled: int
    ready: int
    serving: int
    since: datetime
    phase: Phase = Phase.HUNTING
    impaired: int = 0
    draining: bool = False
    yielding: bool = False
    attempt: Attempt | None = None
    serving_since: datetime | None = None
    unwired_at: datetime | None = None
    impaired_since: datetime | None = None
    reason: str = ""
    leaving: bool = False
    rolling: bool = False
    ceiling: int = 0
    grown: int = 0
    extra: int = 0
    extra_ready: int = 0
    beside: tuple[PodFact, ...] = ()
    unscaled: str = ""
    unscaled_at: datetime | None = None

    @property
    def key(self) -> str:
        """The offering's key."""
        return self.offering.key

    @property
    def link(self) -> str:
        """The cluster as MultiClusterService names it."""
        return self.offering.cluster.link

    @property
    def region(self) -> str:
        """Where it is."""
        return self.offering.region

    @property
    def kept(self) -> bool:
        """The service means to keep it."""
        return not self.draining and self.permitted and not self.leaving

    @property
    def hunting(self) -> int:
        """Replicas that are asked for and have no GPU yet."""
        return max(0, self.target - self.scheduled)

    @property
    def warming(self) -> int:
        """Replicas that have their GPU and may still come to serve."""
        return max(0, self.scheduled - self.serving - self.impaired)

    @property
    def cover(self) -> int:
        """Replicas that count towards what is wanted."""
        if not self.kept or self.lost:
            return 0
        return self.serving + self.warming + (0 if self.yielding else self.hunting)

    @property
    def owed(self) -> int:
        """Replicas that cost money for being wanted; what an autoscaler added out of our sight is among them."""
        if self.workload is None:
            return max(self.target, self.scheduled, self.ceiling)
        running = sum(p.scheduled for p in self.workload.live_pods)
        return max(self.target, self.workload.replicas, running)

    @property
    def billed(self) -> int:
        """Replicas that cost money or may begin to at any moment."""
        return max(self.owed + self.extra, self.grown, self.ceiling)

    @property
    def beyond(self) -> int:
        """Replicas that an autoscaler has added to those wanted, or may add."""
        return max(0, max(self.ceiling, self.grown) - self.target)


@dataclass(frozen=True, slots=True)
class World:
    """All holdings, and the facts about clusters that every later step needs.

    ingress: the wiring by which the service is reached. second: that of the other kind, while the service moves.
    """

    holdings: tuple[Holding, ...]
    removing: Mapping[str, WorkloadFact]
    clusters: tuple[ClusterRef, ...]
    visible: frozenset[ClusterRef]
    unusable: frozenset[ClusterRef]
    gone: frozenset[str]
    unknown_links: tuple[str, ...]
    fleet_known: bool
    unlisted: tuple[str, ...]
    majority_unknown: bool
    ingress: IngressFact | None
    ingress_foreign: bool
    health: Mapping[str, int] | None
    second: IngressFact | None = None
    unknown_since: Mapping[str, datetime] = field(default_factory=dict)
    unknown_why: Mapping[str, str] = field(default_factory=dict)
    leaving: frozenset[ClusterRef] = frozenset()

    def at(self, key: str) -> Holding | None:
        """Give the holding of an offering."""
        return next((h for h in self.holdings if h.key == key), None)

    @property
    def fleet_complete(self) -> bool:
        """The fleet was listed, and the listing left nothing out."""
        return self.fleet_known and not self.unlisted

    def swap(self, holdings: tuple[Holding, ...]) -> "World":
        """Give the same world with other holdings."""
        if len(holdings) == len(self.holdings) and all(map(is_, holdings, self.holdings)):
            return self
        return replace(self, holdings=holdings)

    @property
    def listed(self) -> frozenset[str]:
        """The clusters that the address is wired to now."""
        return frozenset(self.ingress.clusters or ()) if self.ingress else frozenset()

    @property
    def reached(self) -> frozenset[str]:
        """The clusters that requests may reach by either wiring."""
        return self.listed | frozenset((self.second.clusters or ()) if self.second else ())

    def facing(self, ingress: IngressFact, second: IngressFact | None) -> "World":
        """Give the same world as it is behind a wiring: what serves is what serves there."""
        health = ingress.healthy.value if isinstance(ingress.healthy, Known) else None
        turned = replace(self, ingress=ingress, ingress_foreign=ingress.foreign, health=health, second=second)
        return turned.swap(with_health(list(self.holdings), turned))


def outdated(spec: ServiceSpec, holding: Holding) -> bool:
    """Tell whether a placement's Deployment was made from another template."""
    workload = holding.workload
    return workload is not None and workload.template_hash != spec_template_hash(spec, holding.offering)


def with_health(holdings: list[Holding], world: World) -> tuple[Holding, ...]:
    """Count as serving what is ready and proven behind the load balancer, the longest ready first.

    The load balancer tells health by region, so the Pods of a region share the number. What is not in the list does
    not serve, whatever a load balancer that lags behind the list still says. Where it tells nothing, what is wired
    and ready is taken to serve; nothing destructive rests on that (guards S1, S2 and S6).
    """
    counted: dict[str, int] = {}
    room = dict(world.health) if world.health is not None else None
    ranked = sorted((h for h in holdings if h.visible), key=lambda h: (_oldest_ready(h), h.key))
    for holding in ranked:
        if world.ingress is not None and holding.link not in world.listed:
            counted[holding.key] = 0
        elif room is not None:
            healthy = min(holding.ready + holding.extra_ready, max(0, room.get(holding.region, 0)))
            counted[holding.key] = min(holding.ready, healthy)
            room[holding.region] = room.get(holding.region, 0) - healthy
        elif holding.link in world.listed or holding.phase in (Phase.SERVING, Phase.DRAINING):
            counted[holding.key] = holding.ready
    return tuple(
        replace(h, serving=counted[h.key]) if h.visible and counted.get(h.key, 0) != h.serving else h for h in holdings
    )


def _oldest_ready(holding: Holding) -> datetime:
    pods: tuple[PodFact, ...] = holding.workload.live_pods if holding.workload else ()
    return min((p.ready_at for p in pods if p.ready_at and p.ready), default=NEVER)
