"""Where one more cluster is made: where a service may be, none is, and GPUs are likely by all that can be known.

"Likely" takes proof: the catalogue offers the type, the quotas are read and leave room, the capacity advice does not
speak against it, and nothing was refused there lately. What is not known is a reason not to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from controlplane.decide.growth.case import Case
from controlplane.decide.quotas import binding_quota
from controlplane.model.facts import Known, Unknown
from controlplane.model.growth import Grown, Need, RegionPast, Stage
from controlplane.model.growthplan import CreateCluster, RegionVerdict
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering
from controlplane.model.reasons import Reason

UNLIKELY = 0.3
"""Obtainability below which the capacity advice speaks against a region."""
NO_ADVICE = 0.5
"""What a region without advice is taken for, beside those that have one."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is asked for in this pass, what is remembered of it, and a verdict for every region without a cluster."""

    actions: tuple[CreateCluster, ...]
    clusters: Mapping[str, Grown]
    verdicts: tuple[RegionVerdict, ...]


@dataclass(frozen=True, slots=True)
class _Refused:
    reason: Reason | str
    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Likely:
    """A region that can very likely give a kind of GPU. rank: sorts the better one first."""

    region: str
    message: str
    rank: tuple[float, float, int]


def make(
    case: Case, *, arriving: Iterable[str], standing: Mapping[str, Grown], regions: Mapping[str, RegionPast]
) -> Made:
    """Choose regions for the services that are short, one cluster at a time for each.

    arriving: clusters that no service could ask yet. standing: all clusters on demand that are remembered.
    """
    on_demand = case.fleet.on_demand
    if on_demand is None:
        return Made((), {}, ())
    taken = _Taken(case, frozenset(arriving), dict(standing))
    verdicts = {region: _standing_verdict(case, region, regions) for region in on_demand.regions}
    actions: list[CreateCluster] = []
    for need in case.needs:
        likely: list[_Likely] = []
        for index, region in enumerate(on_demand.regions):
            found = taken.refusal(need, region) or _weigh(case, need, region, index, regions.get(region))
            if isinstance(found, _Likely):
                likely.append(found)
            if region not in {action.ref.region for action in actions}:
                verdicts[region] = _verdict(region, need, found)
        if not likely:
            continue
        chosen = min(likely, key=lambda each: each.rank)
        ref = case.fleet.cluster(chosen.region)
        why = f"{need.service} is {need.missing} replica(s) short; {chosen.message}"
        actions.append(CreateCluster(ref, case.labels, why))
        taken.made[ref.link] = Grown(Stage.CREATING, case.now, why)
        verdicts[chosen.region] = RegionVerdict(chosen.region, Reason.CLUSTER_ASKED_FOR.value, why)
    made = {link: grown for link, grown in taken.made.items() if link not in standing}
    shown = {ClusterRef.of(link).region for link in standing}
    return Made(tuple(actions), made, tuple(v for region, v in verdicts.items() if region not in shown))


@dataclass(frozen=True, slots=True)
class _Taken:
    """What speaks against any cluster in a region, whatever GPUs it may have. made: grows within the pass."""

    case: Case
    arriving: frozenset[str]
    made: dict[str, Grown]

    def refusal(self, need: Need, region: str) -> _Refused | None:
        """Say why no cluster is made there for this need; nothing when nothing speaks against it."""
        case, seen = self.case, self.case.seen
        if region in need.regions.denied:
            return _Refused(Reason.REGION_DENIED, f"{need.service}: spec.regions.denied names it")
        if not need.regions.permits(region):
            return _Refused(Reason.REGION_NOT_ALLOWED, f"{need.service}: spec.regions.allowed does not name it")
        if seen.doubt or not seen.whole or not isinstance(seen.clusters, Known):
            return _Refused(Reason.FLEET_UNKNOWN, seen.doubt or "the clusters could not all be listed")
        here = sorted(ref for ref in {*seen.members, *map(ClusterRef.of, self.made)} if ref.region == region)
        if here:
            return _Refused(Reason.REGION_HAS_CLUSTER, f"{here[0]} is there")
        if case.fleet.cluster(region) in seen.clusters.value:
            name = case.fleet.cluster(region)
            return _Refused(Reason.NAME_TAKEN, f"{name} is there and is no member; change spec.members.name")
        coming = next(
            (link for link in sorted(self._coming()) if need.regions.permits(ClusterRef.of(link).region)), None
        )
        if coming is not None:
            return _Refused(Reason.CLUSTER_ARRIVING, f"{coming} is on its way")
        limit = case.fleet.on_demand.max_clusters if case.fleet.on_demand else 0
        number = len({*self.made, *(ref.link for ref, each in seen.clusters.value.items() if each.on_demand)})
        if number >= limit:
            return _Refused(Reason.AS_MANY_AS_ALLOWED, f"{number} of at most {limit} clusters are there")
        return None

    def _coming(self) -> frozenset[str]:
        return self.arriving | {link for link, grown in self.made.items() if grown.stage is Stage.CREATING}


def _weigh(case: Case, need: Need, region: str, index: int, past: RegionPast | None) -> _Likely | _Refused:
    """Look whether a region can very likely give one of the kinds; the best of them counts."""
    if past is not None and past.not_before is not None and case.now < past.not_before:
        return _Refused(past.reason or Reason.CLUSTER_FAILED, past.message, past.not_before)
    found = [_weigh_kind(case, need, region, index, kind) for kind in need.kinds]
    likely = [each for each in found if isinstance(each, _Likely)]
    return min(likely, key=lambda each: each.rank) if likely else found[0]


def _weigh_kind(
    case: Case, need: Need, region: str, index: int, kind: tuple[Accelerator, Capacity]
) -> _Likely | _Refused:
    accelerator, capacity = kind
    refused = _not_had(case, region, accelerator, capacity) or _too_dear(case, need, region, kind)
    if refused is not None:
        return refused
    told = case.seen.advice.get(Offering(case.fleet.cluster(region), accelerator, capacity))
    chance = told.value.obtainability if isinstance(told, Known) else None
    if chance is not None and chance < UNLIKELY:
        return _Refused(
            Reason.CAPACITY_UNLIKELY, f"the capacity advice gives {accelerator} {capacity.value} {chance:.0%}"
        )
    price = case.seen.prices.get((accelerator.type, region, capacity), float("inf"))
    rank = (-(NO_ADVICE if chance is None else chance), price * accelerator.count, index)
    said = "" if chance is None else f", advice {chance:.0%}"
    return _Likely(region, f"{region} offers {accelerator} {capacity.value} with quota left{said}", rank)


def _not_had(case: Case, region: str, accelerator: Accelerator, capacity: Capacity) -> _Refused | None:
    """Say why a kind cannot be had in a region by catalogue and quotas; what is not known is a reason too."""
    signals, project = case.seen.signals.get(region), case.seen.project_gpu_quota
    if signals is None or not isinstance(signals.accelerators, Known):
        return _Refused(Reason.SIGNALS_UNKNOWN, "which GPU types are offered is not known")
    if accelerator.type not in signals.accelerators.value:
        return _Refused(Reason.NOT_OFFERED_IN_REGION, f"no zone offers {accelerator.type}")
    if isinstance(signals.quotas, Unknown):
        return _Refused(Reason.QUOTA_UNKNOWN, "the quotas could not be read")
    quota = binding_quota(signals, accelerator.type, capacity)
    if quota is None:
        return _Refused(Reason.QUOTA_UNKNOWN, f"no quota of {accelerator.type} {capacity.value} is known")
    if quota[1].free < accelerator.count:
        return _Refused(Reason.QUOTA_EXHAUSTED, f"{quota[0]}: {quota[1].usage:g} of {quota[1].limit:g} used")
    if not isinstance(project, Known):
        return _Refused(Reason.QUOTA_UNKNOWN, "GPUS_ALL_REGIONS could not be read")
    if project.value.free < accelerator.count:
        used = f"{project.value.usage:g} of {project.value.limit:g} used"
        return _Refused(Reason.PROJECT_QUOTA_EXHAUSTED, f"GPUS_ALL_REGIONS: {used}")
    return None


def _too_dear(case: Case, need: Need, region: str, kind: tuple[Accelerator, Capacity]) -> _Refused | None:
    if need.budget is None:
        return None
    accelerator, capacity = kind
    price = case.seen.prices.get((accelerator.type, region, capacity))
    if price is None:
        return _Refused(Reason.PRICE_UNKNOWN, f"no price is known and {need.service} has a cost cap")
    if price * accelerator.count > need.budget + 1e-9:
        cost, left = price * accelerator.count, max(0.0, need.budget)
        return _Refused(Reason.OVER_COST_CAP, f"${cost:.2f}/h, and the cap of {need.service} leaves ${left:.2f}/h")
    return None


def _standing_verdict(case: Case, region: str, regions: Mapping[str, RegionPast]) -> RegionVerdict:
    past = regions.get(region)
    if past is not None and past.not_before is not None and case.now < past.not_before:
        return RegionVerdict(region, past.reason, past.message, next_try=past.not_before)
    return RegionVerdict(region, Reason.NO_SERVICE_SHORT.value, "no service needs a cluster there")


def _verdict(region: str, need: Need, found: _Likely | _Refused) -> RegionVerdict:
    if isinstance(found, _Likely):
        message = f"{found.message}; another region comes first for {need.service}"
        return RegionVerdict(region, Reason.LOWER_SCORE.value, message)
    reason = found.reason.value if isinstance(found.reason, Reason) else found.reason
    return RegionVerdict(region, reason, found.message, next_try=found.until)
