"""Which offerings can be tried now, and why the others cannot.

Each filter looks at one candidate and gives a reason and a message, or None. `FILTERS` is the one list, in the order
in which reasons are told: what the user decided first, then what is impossible, then what only needs patience.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeAlias

from controlplane.decide import capacity
from controlplane.decide.candidates import Blocks, Candidate
from controlplane.decide.quotas import known_quotas, quota_room
from controlplane.decide.scoring import ScoringContext
from controlplane.decide.world import World
from controlplane.model.facts import Known
from controlplane.model.observation import Observation, Quota
from controlplane.model.offering import RefusalClass
from controlplane.model.reasons import Reason
from controlplane.model.service import ServiceSpec


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a candidate cannot be tried, and until when if that is known."""

    reason: Reason
    message: str
    until: datetime | None = None


@dataclass(frozen=True)
class Context:
    """What filters may look at.

    budget: what the cost cap leaves, None without a cap. hunting_since: since when replicas are missing.
    """

    spec: ServiceSpec
    observation: Observation
    world: World
    blocks: Blocks
    now: datetime
    budget: float | None
    in_region: Mapping[str, int]
    hunting_since: datetime | None = None

    @cached_property
    def in_force(self) -> tuple["Filter", ...]:
        """The filters that may refuse something here."""
        return tuple([check for check in FILTERS if check not in IDLE or not IDLE[check](self)])

    def most_in(self, region: str) -> int | None:
        """Give how many replicas that are wanted a region may hold, beside what autoscalers may add there."""
        most = self.spec.spread.max_replicas_per_region
        if most is None:
            return None
        return most - sum(h.beyond for h in self.world.holdings if h.region == region and not h.lost)

    @property
    def scoring(self) -> ScoringContext:
        """What scorers may look at."""
        return ScoringContext(self.in_region, self.now, self.hunting_since)


Filter: TypeAlias = Callable[[Context, Candidate], Refused | None]

COOLING_REASONS: Mapping[RefusalClass, Reason] = {
    RefusalClass.STOCK_OUT: Reason.COOLING_AFTER_STOCK_OUT,
    RefusalClass.QUOTA_REGION: Reason.COOLING_AFTER_QUOTA,
    RefusalClass.QUOTA_PROJECT: Reason.COOLING_AFTER_QUOTA,
    RefusalClass.IP_SPACE: Reason.IP_SPACE_EXHAUSTED,
    RefusalClass.PROVISIONING_TIMEOUT: Reason.COOLING_AFTER_TIMEOUT,
    RefusalClass.PREEMPTED: Reason.COOLING_AFTER_PREEMPTION,
    RefusalClass.APP_UNHEALTHY: Reason.APP_UNHEALTHY,
}
"""Classes that are not listed cool as CoolingAfterFailure: they tell nothing about stock."""


def residency(context: Context, candidate: Candidate) -> Refused | None:
    """Keep out of regions that the user denied or did not allow."""
    regions = context.spec.regions
    if regions.permits(candidate.region):
        return None
    if candidate.region in regions.denied:
        return Refused(Reason.REGION_DENIED, f"spec.regions.denied names {candidate.region}")
    return Refused(Reason.REGION_NOT_ALLOWED, f"spec.regions.allowed does not name {candidate.region}")


def in_spec(context: Context, candidate: Candidate) -> Refused | None:
    """Ask no more of what the spec no longer names."""
    spec = context.spec
    offering = candidate.offering
    if offering.accelerator in spec.accelerators and offering.capacity in spec.capacity_types:
        return None
    return Refused(Reason.NOT_IN_SPEC, "the spec no longer names this accelerator or capacity type")


def spec_accepted(context: Context, _candidate: Candidate) -> Refused | None:
    """Carry a rejected spec nowhere else: it needs a change, not another region."""
    text = context.blocks.generation
    return Refused(Reason.SPEC_REJECTED, f"fix the spec: {text}") if text else None


def usable(context: Context, candidate: Candidate) -> Refused | None:
    """Leave alone clusters that are being made, being deleted or broken."""
    if candidate.cluster not in context.world.unusable:
        return None
    what = "leaves the fleet" if candidate.cluster in context.world.leaving else "is not running"
    return Refused(Reason.CLUSTER_NOT_USABLE, f"{candidate.cluster} {what}")


def readable(context: Context, candidate: Candidate) -> Refused | None:
    """Start nothing where nobody can see what already stands."""
    if candidate.cluster in context.world.visible:
        return None
    return Refused(Reason.CLUSTER_UNKNOWN, f"{candidate.cluster} did not answer")


def offered(context: Context, candidate: Candidate) -> Refused | None:
    """Skip GPU types that the region's catalogue does not list."""
    signals = context.observation.signals.get(candidate.region)
    if signals is None or not isinstance(signals.accelerators, Known):
        return None
    if candidate.offering.accelerator.type in signals.accelerators.value:
        return None
    return Refused(Reason.NOT_OFFERED_IN_REGION, f"no zone of {candidate.region} offers it")


def vacated(context: Context, candidate: Candidate) -> Refused | None:
    """Wait until an earlier Deployment of the same name is gone."""
    if candidate.key not in context.world.removing:
        return None
    return Refused(Reason.BEING_REMOVED, "its earlier Deployment is still being deleted")


def priced(context: Context, candidate: Candidate) -> Refused | None:
    """Under a cap, an unknown price may be any price."""
    if context.budget is None or candidate.price is not None:
        return None
    return Refused(Reason.PRICE_UNKNOWN, "no price is known and spec.maxHourlyCost is set")


def affordable(context: Context, candidate: Candidate) -> Refused | None:
    """Keep running and in-flight cost within the cap."""
    if context.budget is None or candidate.price is None or candidate.price <= context.budget + 1e-9:
        return None
    left = max(0.0, context.budget)
    return Refused(Reason.OVER_COST_CAP, f"${candidate.price:.2f}/h, and the cap leaves ${left:.2f}/h")


def project_quota(context: Context, candidate: Candidate) -> Refused | None:
    """Respect GPUS_ALL_REGIONS, as read and as an autoscaler met it."""
    blocked = context.blocks.project
    if blocked:
        return Refused(Reason.PROJECT_QUOTA_EXHAUSTED, blocked.last_message, blocked.not_before)
    quota = context.observation.project_gpu_quota
    if isinstance(quota, Known) and quota.value.free < candidate.offering.accelerator.count:
        return Refused(Reason.PROJECT_QUOTA_EXHAUSTED, f"GPUS_ALL_REGIONS: {_used(quota.value)}")
    return None


def region_quota(context: Context, candidate: Candidate) -> Refused | None:
    """Respect the region's quota for the GPU family and capacity type, as read."""
    room = quota_room(context.observation, candidate)
    if room is None or room[1].free >= candidate.offering.accelerator.count:
        return None
    return Refused(Reason.QUOTA_EXHAUSTED, f"{room[0]}: {_used(room[1])}")


def quota_cooling(context: Context, candidate: Candidate) -> Refused | None:
    """Carry a quota refusal to the whole region, for the same GPU family and capacity type."""
    kind = (candidate.region, candidate.offering.accelerator.type, candidate.offering.capacity)
    past = context.blocks.regions.get(kind)
    return Refused(Reason.COOLING_AFTER_QUOTA, past.last_message, past.not_before) if past else None


def cluster_cooling(context: Context, candidate: Candidate) -> Refused | None:
    """Carry exhausted IP space, missing permission or a lost API server to the whole cluster."""
    past = context.blocks.clusters.get(candidate.cluster.link)
    if past is None:
        return None
    ip = past.last_refusal is RefusalClass.IP_SPACE
    reason = Reason.IP_SPACE_EXHAUSTED if ip else Reason.COOLING_AFTER_FAILURE
    return Refused(reason, past.last_message, past.not_before)


def cooled(context: Context, candidate: Candidate) -> Refused | None:
    """Leave an offering alone until its back-off is over."""
    past = candidate.past
    if not capacity.cooling(past, context.now):
        return None
    refusal = past.last_refusal or RefusalClass.UNCLASSIFIED
    reason = COOLING_REASONS.get(refusal, Reason.COOLING_AFTER_FAILURE)
    return Refused(reason, past.last_message, past.not_before)


def settled(context: Context, candidate: Candidate) -> Refused | None:
    """Ask for nothing more where GPUs were taken away a moment ago."""
    if not capacity.lately_lost(context.spec, candidate.past, context.now) or candidate.past.last_lost_at is None:
        return None
    until = candidate.past.last_lost_at + context.spec.timing.backoff_initial
    return Refused(Reason.COOLING_AFTER_PREEMPTION, "GPUs were preempted here a moment ago", until)


def region_room(context: Context, candidate: Candidate) -> Refused | None:
    """Respect the most replicas that a region may hold."""
    room = context.most_in(candidate.region)
    if room is None or context.in_region.get(candidate.region, 0) < room:
        return None
    most = context.spec.spread.max_replicas_per_region
    return Refused(Reason.REGION_FULL, f"spec.spread.maxReplicasPerRegion is {most}")


def _used(quota: Quota) -> str:
    least = "" if quota.told else "at least "
    return f"{least}{quota.usage:g} of {quota.limit:g} used"


FILTERS: tuple[Filter, ...] = (
    residency,
    in_spec,
    spec_accepted,
    usable,
    readable,
    offered,
    vacated,
    priced,
    project_quota,
    region_quota,
    quota_cooling,
    cluster_cooling,
    cooled,
    settled,
    region_room,
    affordable,
)


def _all_named(context: Context) -> bool:
    """Tell whether everything that stands is what the spec names, as everything that does not stand is."""
    spec, standing = context.spec, [h.offering for h in context.world.holdings]
    return all(o.accelerator in spec.accelerators and o.capacity in spec.capacity_types for o in standing)


def _all_offered(context: Context) -> bool:
    """Tell whether every catalogue that was read lists every GPU type in question."""
    types = {a.type for a in context.spec.accelerators}
    types.update(h.offering.accelerator.type for h in context.world.holdings)
    catalogues = [s.accelerators for s in context.observation.signals.values()]
    return all(types <= c.value for c in catalogues if isinstance(c, Known))


def _no_region_quota(context: Context) -> bool:
    return not any(quotas for signals in context.observation.signals.values() for quotas in known_quotas(signals))


def _roomy_project(context: Context) -> bool:
    quota = context.observation.project_gpu_quota
    if context.blocks.project:
        return False
    counts = [a.count for a in context.spec.accelerators]
    counts.extend(h.offering.accelerator.count for h in context.world.holdings)
    return not isinstance(quota, Known) or quota.value.free >= max(counts, default=0)


IDLE: Mapping[Filter, Callable[[Context], bool]] = {
    residency: lambda c: c.spec.regions.allowed is None and not c.spec.regions.denied,
    in_spec: _all_named,
    spec_accepted: lambda c: not c.blocks.generation,
    offered: _all_offered,
    project_quota: _roomy_project,
    region_quota: _no_region_quota,
    cooled: lambda c: not c.blocks.cooling,
    settled: lambda c: not c.blocks.shaken,
    usable: lambda c: not c.world.unusable,
    readable: lambda c: len(c.world.visible) == len(c.world.clusters),
    vacated: lambda c: not c.world.removing,
    priced: lambda c: c.budget is None,
    quota_cooling: lambda c: not c.blocks.regions,
    cluster_cooling: lambda c: not c.blocks.clusters,
    region_room: lambda c: c.spec.spread.max_replicas_per_region is None,
    affordable: lambda c: c.budget is None,
}
"""When a filter can refuse nothing at all, so that a pass need not ask it about every offering."""

PERMANENT = frozenset(
    {
        Reason.REGION_DENIED,
        Reason.REGION_NOT_ALLOWED,
        Reason.NOT_IN_SPEC,
        Reason.SPEC_REJECTED,
        Reason.CLUSTER_NOT_USABLE,
        Reason.NOT_OFFERED_IN_REGION,
        Reason.PRICE_UNKNOWN,
        Reason.OVER_COST_CAP,
        Reason.QUOTA_EXHAUSTED,
        Reason.PROJECT_QUOTA_EXHAUSTED,
    }
)
"""Reasons that waiting does not cure: a person has to change the spec, the fleet or a quota."""


def refusals(context: Context, candidate: Candidate) -> tuple[Refused, ...]:
    """Give every reason why a candidate cannot be tried now; empty when it can."""
    if not context.in_force:
        return ()
    return tuple([refused for check in context.in_force if (refused := check(context, candidate)) is not None])
