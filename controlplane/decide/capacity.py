"""Launch budgets and back-off: what one offering's past allows it now.

A cache of refusals is a filter, not a throttle: a controller with a cache alone made thousands of claims in one stock
-out. So every offering has a budget (one replica, doubled by success, one again after a failure) and a back-off that
grows like the autoscaler's own, which would not look again sooner anyway.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from controlplane.decide import learning
from controlplane.model.memory import OfferingMemory
from controlplane.model.offering import Capacity, RefusalClass
from controlplane.model.service import ServiceSpec

MAX_BUDGET = 64
FORGET_AFTER = timedelta(hours=3)
"""The autoscaler resets its back-off three hours after the last failure."""

URGENT = 5
"""First back-offs that a back-off may grow to where every minute without a replica counts."""

ABOUT_CAPACITY = frozenset(
    {
        RefusalClass.STOCK_OUT,
        RefusalClass.PROVISIONING_TIMEOUT,
        RefusalClass.BACKING_OFF,
        RefusalClass.PREEMPTED,
        RefusalClass.UNCLASSIFIED,
    }
)
"""Refusals from which the chance of getting GPUs is learnt; the others tell of permissions, quotas and specs."""

MODEST = frozenset({RefusalClass.UNCLASSIFIED, RefusalClass.UNREACHABLE, RefusalClass.UNAUTHORISED})
"""Refusals that say little about capacity: their back-off grows half as fast."""


def refused(
    spec: ServiceSpec, past: OfferingMemory, refusal: RefusalClass, message: str, now: datetime
) -> OfferingMemory:
    """Learn from a refusal."""
    if refusal is RefusalClass.BACKING_OFF and past.last_refusal and not _forgotten(past, now):
        refusal, message = past.last_refusal, past.last_message or message
    if refusal in ABOUT_CAPACITY:
        past = learning.failed(past, now)
    learnt = replace(past, budget=1, last_refusal=refusal, last_refused_at=now, last_message=message)
    if refusal is RefusalClass.REJECTED_SPEC:
        return replace(learnt, blocked_generation=spec.generation)
    failures = 1 if _forgotten(past, now) else past.failures + 1
    return replace(learnt, failures=failures, not_before=now + backoff(spec, refusal, failures))


def obtained(past: OfferingMemory, began: datetime, now: datetime) -> OfferingMemory:
    """Learn from the success of an attempt that began then."""
    return replace(
        learning.won(past, began, now),
        budget=min(MAX_BUDGET, past.budget * 2),
        failures=0,
        not_before=None,
        last_refusal=None,
        last_refused_at=None,
        last_message="",
        last_obtained_at=now,
        blocked_generation=None,
    )


def lost(past: OfferingMemory, now: datetime, *, rest: bool) -> OfferingMemory:
    """Learn from a preemption: after a first one a second mostly follows within minutes. `rest`: some is still held."""
    return replace(learning.lost(past, now, rest=rest), budget=1)


def backoff(spec: ServiceSpec, refusal: RefusalClass, failures: int) -> timedelta:
    """Give how long to leave an offering alone after so many failures in a row."""
    exponent = (failures - 1) // 2 if refusal in MODEST else failures - 1
    grown: timedelta = spec.timing.backoff_initial * int(2 ** min(max(exponent, 0), 16))
    return min(grown, longest_backoff(spec))


def longest_backoff(spec: ServiceSpec) -> timedelta:
    """Give how long a back-off can get; not as long where a missing replica costs and no on-demand can fill in."""
    timing = spec.timing
    urgent = spec.policy.valued and Capacity.ON_DEMAND not in spec.capacity_types
    longest = min(timing.backoff_max, URGENT * timing.backoff_initial) if urgent else timing.backoff_max
    return max(longest, timing.backoff_initial)


def cooling(past: OfferingMemory, now: datetime) -> bool:
    """Tell whether the back-off still runs."""
    return past.not_before is not None and now < past.not_before


def lately_lost(spec: ServiceSpec, past: OfferingMemory, now: datetime) -> bool:
    """Tell whether GPUs were preempted here within the first back-off."""
    return past.last_lost_at is not None and now < past.last_lost_at + spec.timing.backoff_initial


def _forgotten(past: OfferingMemory, now: datetime) -> bool:
    return past.last_refused_at is None or now - past.last_refused_at >= FORGET_AFTER
