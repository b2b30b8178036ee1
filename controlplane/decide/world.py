"""What stands where: memory and observation brought together, one `Holding` per placement.

The cluster's own word outranks memory wherever the cluster could be read. Where it could not, memory stands in: for a
grace period as if nothing had happened, after that as "lost", which calls for replacements but permits no deletion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import is_

from controlplane.model.facts import Known, Unknown
from controlplane.model.memory import Attempt, Memory, Outcome, Phase, PlacementMemory
from controlplane.model.observation import IngressFact, Member, Observation, PodFact, WorkloadFact
from controlplane.model.offering import ClusterRef, Offering
from controlplane.model.service import ServiceSpec
from controlplane.model.template import spec_template_hash

GONE_AFTER = timedelta(hours=1)
STALE_AFTER = timedelta(minutes=5)
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
    wanted have GPUs; extra_ready of them are ready.
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
        return turned.swap(_with_health(list(self.holdings), turned))


def outdated(spec: ServiceSpec, holding: Holding) -> bool:
    """Tell whether a placement's Deployment was made from another template."""
    workload = holding.workload
    return workload is not None and workload.template_hash != spec_template_hash(spec, holding.offering)


def look(spec: ServiceSpec, observation: Observation, memory: Memory, now: datetime) -> World:
    """Bring memory and observation together."""
    remembered = _remembered(memory)
    infos = {i.ref: i for i in observation.fleet.value} if isinstance(observation.fleet, Known) else {}
    everywhere = {*infos, *observation.members, *(o.cluster for o in remembered)}
    clusters = tuple(sorted(everywhere, key=_place))
    readable = [c for c in clusters if _readable(observation.members.get(c), now)]
    visible, workloads = frozenset(readable), _workloads(observation, readable)
    dark = [c for c in clusters if c not in visible]
    # anchored in memory, so that the grace neither restarts with the process nor never ends
    unknown_since = {c.link: min(memory.unknown_since.get(c.link, now), now) for c in dark}
    ingress = observation.ingress.value if isinstance(observation.ingress, Known) else None
    health = ingress.healthy.value if ingress and isinstance(ingress.healthy, Known) else None
    whole_fleet = isinstance(observation.fleet, Known) and not observation.unlisted
    unknown = [c for c in dark if c not in infos or infos[c].usable]
    leaving = frozenset(ref for ref, info in infos.items() if info.leaving)
    world = World(
        holdings=(),
        removing={w.offering.key: w for w in workloads if w.deleting},
        clusters=clusters,
        visible=visible,
        unusable=leaving
        | {c for c in clusters if (c in infos and not infos[c].usable) or (whole_fleet and c not in infos)},
        gone=frozenset(
            c.link for c in dark if whole_fleet and c not in infos and now - unknown_since[c.link] >= GONE_AFTER
        ),
        unknown_links=tuple(c.link for c in unknown),
        fleet_known=isinstance(observation.fleet, Known),
        unlisted=observation.unlisted,
        majority_unknown=_majority_unknown(readable, unknown),
        ingress=ingress,
        ingress_foreign=bool(ingress and ingress.foreign),
        health=health,
        unknown_since=unknown_since,
        unknown_why={
            ref.link: member.workloads.reason.value
            for ref, member in observation.members.items()
            if isinstance(member.workloads, Unknown)
        },
        leaving=leaving,
    )
    live = {w.offering: w for w in workloads if not w.deleting}
    return world.swap(_holdings(spec, memory, world, live, now))


def _place(cluster: ClusterRef) -> tuple[str, str]:
    return cluster.location, cluster.name


def _remembered(memory: Memory) -> dict[Offering, PlacementMemory]:
    cooling = Phase.COOLING
    return {p.offering: p for p in memory.placements if p.phase is not cooling}


def _readable(member: Member | None, now: datetime) -> bool:
    """Tell whether a cluster was read, and lately: an old answer is no better than none."""
    if member is None or not isinstance(member.workloads, Known):
        return False
    return now - member.workloads.at <= STALE_AFTER


def _majority_unknown(readable: list[ClusterRef], unknown: list[ClusterRef]) -> bool:
    dark = {c.region for c in unknown}
    return 2 * len(dark) > len(dark | {c.region for c in readable})


def _workloads(observation: Observation, readable: list[ClusterRef]) -> list[WorkloadFact]:
    found: list[WorkloadFact] = []
    for cluster in readable:
        facts = observation.members[cluster].workloads
        if isinstance(facts, Known):
            found.extend(sorted(facts.value, key=lambda w: (w.offering.key, w.name)))
    return found


def _holdings(
    spec: ServiceSpec, memory: Memory, world: World, live: Mapping[Offering, WorkloadFact], now: datetime
) -> tuple[Holding, ...]:
    remembered = _remembered(memory)
    still_open = Outcome.OPEN
    attempts = {a.offering: a for a in memory.attempts if a.outcome is still_open}
    holdings: list[Holding] = []
    for offering in sorted({*live, *remembered}, key=lambda o: o.order):
        past, attempt = remembered.get(offering), attempts.get(offering)
        if offering.cluster in world.visible:
            workload = live.get(offering)
            if workload is None and (attempt is None or past is None or world.removing.get(offering.key)):
                continue
            seen = _seen(spec, offering, workload, past=past, attempt=attempt, now=now)
            holdings.append(replace(seen, leaving=True) if offering.cluster in world.leaving else seen)
        elif past and offering.cluster.link not in world.gone:
            dark = now - world.unknown_since[offering.cluster.link] >= spec.timing.unreachable_grace
            holdings.append(_unseen(spec, past, attempt, lost=dark))
    return _with_health(holdings, world)


def _seen(
    spec: ServiceSpec,
    offering: Offering,
    workload: WorkloadFact | None,
    *,
    past: PlacementMemory | None,
    attempt: Attempt | None,
    now: datetime,
) -> Holding:
    grown = workload.replicas if workload and workload.autoscaler else 0
    ceiling = workload.autoscaler.maximum if workload and workload.autoscaler else 0
    workload, extra = _floored(workload)
    pods = workload.live_pods if workload else ()
    target = workload.replicas if workload else 0
    if attempt and past:
        target = max(target, past.replicas)
    scheduled = min(sum(p.scheduled for p in pods), target)
    ready = min(sum(p.ready and p.scheduled for p in pods), scheduled)
    return Holding(
        offering=offering,
        workload=workload,
        visible=True,
        lost=False,
        permitted=spec.regions.permits(offering.region),
        target=target,
        scheduled=scheduled,
        ready=ready,
        serving=0,
        since=past.since if past else now,
        phase=past.phase if past else Phase.HUNTING,
        draining=bool(past and past.phase is Phase.DRAINING),
        attempt=attempt,
        serving_since=past.serving_since if past else None,
        unwired_at=past.unwired_at if past else None,
        impaired_since=past.impaired_since if past else None,
        reason=past.reason if past else "",
        rolling=bool(past and past.rolling),
        ceiling=ceiling,
        grown=grown,
        extra=sum(p.scheduled for p in extra),
        extra_ready=sum(p.ready and p.scheduled for p in extra),
    )


def _floored(workload: WorkloadFact | None) -> tuple[WorkloadFact | None, tuple[PodFact, ...]]:
    """Divide an autoscaled workload into what is wanted of it and the Pods beyond that, the ones that serve worst."""
    if workload is None or workload.autoscaler is None:
        return workload, ()
    floor = workload.autoscaler.minimum
    ranked = sorted(workload.live_pods, key=_worth)
    extra = frozenset(p.uid for p in ranked[floor:])
    wanted = tuple(p for p in workload.pods if p.uid not in extra)
    return replace(workload, replicas=floor, pods=wanted), tuple(ranked[floor:])


def _worth(pod: PodFact) -> tuple[bool, bool, bool, datetime, datetime, str]:
    return not pod.ready, not pod.scheduled, pod.preempted, pod.ready_at or NEVER, pod.created_at, pod.uid


def _unseen(spec: ServiceSpec, past: PlacementMemory, attempt: Attempt | None, *, lost: bool) -> Holding:
    held = past.replicas if past.phase in (Phase.SERVING, Phase.WARMING, Phase.DRAINING) else 0
    serving = past.replicas if past.phase is Phase.SERVING else 0
    return Holding(
        offering=past.offering,
        workload=None,
        visible=False,
        lost=lost,
        permitted=spec.regions.permits(past.offering.region),
        target=past.replicas,
        scheduled=held,
        ready=serving,
        serving=serving,
        since=past.since,
        phase=past.phase,
        draining=past.phase is Phase.DRAINING,
        attempt=attempt,
        serving_since=past.serving_since,
        unwired_at=past.unwired_at,
        impaired_since=past.impaired_since,
        reason=past.reason,
        rolling=past.rolling,
        ceiling=past.ceiling,
    )


def _with_health(holdings: list[Holding], world: World) -> tuple[Holding, ...]:
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
