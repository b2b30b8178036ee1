"""Which service needs a cluster that is not there: short, with every cluster there is asked in vain, for lack of GPUs.

It rests on the verdicts of the very decision that the pass carries out. A kind of GPU that was refused for anything
that another cluster would not cure (a rejected spec, an app that does not get healthy) asks for none.
"""

from datetime import datetime

from controlplane.decide.growth.case import SHORT_FOR
from controlplane.model.decision import Decision, Standing, Verdict
from controlplane.model.growth import Need
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.reasons import Reason
from controlplane.model.service import ServiceSpec

CURED = frozenset(
    reason.value
    for reason in (
        Reason.REGION_DENIED,
        Reason.REGION_NOT_ALLOWED,
        Reason.CLUSTER_NOT_USABLE,
        Reason.CLUSTER_UNKNOWN,
        Reason.NOT_OFFERED_IN_REGION,
        Reason.QUOTA_EXHAUSTED,
        Reason.COOLING_AFTER_STOCK_OUT,
        Reason.COOLING_AFTER_QUOTA,
        Reason.COOLING_AFTER_TIMEOUT,
        Reason.COOLING_AFTER_PREEMPTION,
        Reason.IP_SPACE_EXHAUSTED,
        Reason.REGION_FULL,
        Reason.OVER_COST_CAP,
        Reason.PROJECT_QUOTA_EXHAUSTED,
    )
)
"""Refusals that say nothing against a cluster elsewhere; quota and cap are asked about there once more."""


def need_of(spec: ServiceSpec, decision: Decision, now: datetime) -> Need | str:
    """Give what a service needs, or why it needs nothing."""
    if spec.paused or spec.deleting:
        return "paused or being deleted"
    counts, since = decision.counts, decision.memory.below_target_since
    missing = counts.wanted - counts.serving - counts.warming - counts.hunting
    if missing <= 0 or since is None:
        return "has what it wants, or is getting it"
    open_still = next((v for v in decision.verdicts if _open(v)), None)
    if open_still is not None:
        return f"{open_still.offering} can still be tried"
    if now - since < SHORT_FOR:
        return (
            f"{Reason.SHORT_TOO_BRIEFLY.value}: a cluster is made {SHORT_FOR.seconds // 60} minutes after it fell short"
        )
    kinds = tuple(
        (accelerator, capacity)
        for accelerator in spec.accelerators
        for capacity in spec.capacity_types
        if _elsewhere_would_help(accelerator, capacity, decision.verdicts)
    )
    if not kinds:
        return "what is amiss is nothing that another cluster would cure"
    cap = spec.max_hourly_cost
    budget = None if cap is None else cap - counts.hourly_cost
    return Need(spec.key, missing, kinds, spec.regions, since, budget)


def _open(verdict: Verdict) -> bool:
    tried = verdict.standing is Standing.HELD and verdict.reasons[0] == Reason.ATTEMPT_IN_FLIGHT.value
    return tried or verdict.standing in (Standing.CHOSEN, Standing.RANKED)


def _elsewhere_would_help(accelerator: Accelerator, capacity: Capacity, verdicts: tuple[Verdict, ...]) -> bool:
    return all(
        verdict.standing is Standing.HELD or CURED.issuperset(verdict.reasons)
        for verdict in verdicts
        if (verdict.offering.accelerator, verdict.offering.capacity) == (accelerator, capacity)
    )
