"""Clusters on demand: what comes next for each that is there, and where one more is made.

A region without a cluster cannot be asked for GPUs, so when a service is short and every cluster there is has refused,
one is made where Google Cloud's own signals say that GPUs are likely. It costs money and takes ten minutes, so it is
made seldom, one at a time, and only on facts that are known: an error here creates clusters, or deletes those that
serve. Everything goes over passes, one step each, and each step may be repeated.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from controlplane.decide.growth.case import Case, Step, cooled
from controlplane.decide.growth.needs import need_of
from controlplane.decide.growth.places import make
from controlplane.decide.growth.stages import advance
from controlplane.model.facts import Known
from controlplane.model.fleet import FleetSpec
from controlplane.model.growth import ARRIVING, LEAVING, Grown, GrowthMemory, GrowthSeen, Need, Stage
from controlplane.model.growthplan import GrowthAction, GrowthDecision, RegionVerdict, takes_away
from controlplane.model.offering import ClusterRef
from controlplane.model.reasons import Reason

__all__ = ["decide_growth", "need_of"]


def decide_growth(
    fleet: FleetSpec, seen: GrowthSeen, needs: Iterable[Need], memory: GrowthMemory, now: datetime
) -> GrowthDecision:
    """Decide one pass: pure, total, the same for the same input."""
    case = Case(fleet, seen, tuple(sorted(needs, key=lambda need: (need.since, need.service))), now)
    known = {**_adopted(case, memory), **memory.clusters}
    steps = {ref: advance(case, ref, known[ref.link]) for ref in sorted(map(ClusterRef.of, known))}
    kept = {ref.link: step.grown for ref, step in steps.items() if step.grown is not None}
    regions = dict(memory.regions)
    for ref, step in steps.items():
        if step.failed is not None:
            regions[ref.region] = cooled(regions.get(ref.region), *step.failed, now)
        elif step.grown is not None and step.grown.obtained:
            regions.pop(ref.region, None)
    told = tuple(_told(ref, step, step.grown) for ref, step in steps.items() if step.grown is not None)
    made = make(case, arriving=_arriving(memory, kept), standing=kept, regions=regions)
    actions = [step.action for step in steps.values() if step.action is not None]
    return GrowthDecision(
        actions=(*made.actions, *_one_at_a_time(actions)),
        memory=replace(memory, clusters={**kept, **made.clusters}, regions=dict(sorted(regions.items()))),
        verdicts=(*told, *made.verdicts),
    )


def _adopted(case: Case, memory: GrowthMemory) -> dict[str, Grown]:
    """Take up clusters with our label that no memory knows, from the beginning: all that is there is found done."""
    clusters, fleet = case.seen.clusters, case.fleet
    if not isinstance(clusters, Known) or fleet.on_demand is None:
        return {}
    return {
        ref.link: Grown(Stage.CREATING, case.now, "it carries our label and nothing else is known of it", uid=found.uid)
        for ref, found in clusters.value.items()
        if found.on_demand and ref.link not in memory.clusters and ref != fleet.config
    }


def _arriving(memory: GrowthMemory, kept: Mapping[str, Grown]) -> frozenset[str]:
    """Give the clusters that no service could ask in this pass and may ask soon: new ones, and ones taken back."""

    def closed(link: str) -> bool:
        before = memory.clusters.get(link)
        return (
            before is None or before.stage in ARRIVING or (before.stage in LEAVING and kept[link].stage not in LEAVING)
        )

    return frozenset(link for link in kept if kept[link].stage not in LEAVING and closed(link))


def _one_at_a_time(actions: Iterable[GrowthAction]) -> tuple[GrowthAction, ...]:
    """Let one thing be taken away in a pass (S8); the next has its turn in the next."""
    kept: list[GrowthAction] = []
    for action in actions:
        if not takes_away(action) or not any(map(takes_away, kept)):
            kept.append(action)
    return tuple(kept)


def _told(ref: ClusterRef, step: Step, grown: Grown) -> RegionVerdict:
    stage, message = grown.stage, step.message
    reason = Reason.CLUSTER_IN_USE
    if step.alone:
        reason = Reason.CLUSTER_LEFT_ALONE
    elif stage in ARRIVING:
        reason = Reason.CLUSTER_ARRIVING
    elif stage in LEAVING:
        reason = Reason.CLUSTER_LEAVING
    elif stage is Stage.IDLE:
        reason = Reason.CLUSTER_IDLE
    trouble = f"; last time: {grown.trouble}" if grown.trouble else ""
    return RegionVerdict(ref.region, reason.value, f"{message}{trouble}", ref.link, stage.value, step.until)
