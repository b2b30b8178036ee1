"""Who sets a placement's number of replicas, and how far it may go by its load alone.

The hunt decides on the replicas that are wanted: below them an autoscaler may not go. What it adds above them is a gain
while it lasts and nothing that the service rests on: it covers nothing, so a Pod that waits there for a GPU makes no
placement fail and no offering rest. It costs all the same, and before it is seen to: a placement is billed as if its
autoscaler had gone as far as it may, so that no load can pass a cap. What is wanted goes before what may come: where a
cap leaves no room for a missing replica because of that, placements may grow no more.

While a changed template is brought to a placement it does not grow: a Deployment takes no old Pod away before as many
are ready as it is set to, so that one which load adds and which gets no GPU would hold the template up.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from controlplane.decide.candidates import Candidate
from controlplane.decide.filters import Context, refusals
from controlplane.decide.world import Holding, outdated
from controlplane.model.decision import (
    Action,
    ApplyPlacement,
    Autoscaled,
    DeletePlacement,
    ScaleDownPlacement,
    StartAutoscaling,
    StopAutoscaling,
)
from controlplane.model.memory import Memory
from controlplane.model.observation import WorkloadFact
from controlplane.model.offering import Offering
from controlplane.model.reasons import Reason
from controlplane.model.template import autoscaling_hash

SLACK = 1e-6
RETRY = timedelta(minutes=10)
"""After which an autoscaler is tried again that could not be made: a right lacks, or another's is in its place."""

UNBOUNDED = 1_000_000
Free = tuple[Holding, WorkloadFact]


def scale(
    context: Context,
    candidates: tuple[Candidate, ...],
    prices: dict[str, float],
    plan: Sequence[Action],
    *,
    missing: bool,
) -> tuple[Action, ...]:
    """Give what is done about the autoscalers of placements that no action of the plan writes.

    context: with the world as this pass means it to be. prices: of a replica, by key. missing: replicas are wanted
    that nothing is asked for yet.
    """
    spec, holdings = context.spec, context.world.holdings
    if spec.autoscaling is None and not any(h.ceiling for h in holdings):
        return ()
    written = {a.offering for a in plan if isinstance(a, (ApplyPlacement, ScaleDownPlacement, DeletePlacement))}
    free = [(h, h.workload) for h in holdings if h.visible and h.workload and h.offering not in written]
    stops = [_stop(h, workload, why) for h, workload in free if h.ceiling and (why := _over(context, h))]
    ended = {stop.offering for stop in stops}
    scaled = [(h, w) for h, w in free if h.offering not in ended and _may_scale(context, h)]
    if spec.autoscaling is None or not scaled:
        return tuple(stops)
    bounds = _Room(context, prices, plan, holds=missing).bounds(scaled, spec.autoscaling.max_replicas)
    if missing:
        bounds |= {h.key: h.target for h, _ in scaled if h.ceiling and _in_the_way(context, candidates, prices, h)}
    starts = [_start(h, w, bounds[h.key]) for h, w in scaled if _changes(context, h, w, bounds[h.key])]
    return (*stops, *starts)


def standing(holding: Holding) -> int:
    """Give how many replicas stay where autoscaling ends: those wanted, and those that have their GPU besides."""
    return max(holding.target, min(holding.grown, holding.scheduled + holding.extra))


def note_unscaled(memory: Memory, offering: Offering, why: str, now: datetime) -> Memory:
    """Give the memory with the reason why no autoscaler could be made for a placement that has none."""
    noted = tuple(
        replace(p, ceiling=0, unscaled=why, unscaled_at=now) if p.offering == offering else p for p in memory.placements
    )
    return replace(memory, placements=noted)


def _over(context: Context, holding: Holding) -> str:
    """Say why autoscaling ends at a placement; empty where it goes on."""
    if context.spec.autoscaling is None:
        return "the spec asks for none any more"
    return "" if holding.kept and holding.target > 0 else "the placement is being left"


def _stop(holding: Holding, workload: WorkloadFact, why: str) -> StopAutoscaling:
    return StopAutoscaling(holding.offering, standing(holding), workload.uid, workload.resource_version, why)


def _may_scale(context: Context, holding: Holding) -> bool:
    """Tell whether a placement has an autoscaler, or serves with all that is wanted there and nothing else goes on."""
    if not holding.kept or holding.target <= 0:
        return False
    if holding.ceiling:
        return True
    if holding.unscaled_at is not None and context.now - holding.unscaled_at < RETRY:
        return False
    idle = holding.attempt is None and not holding.hunting and not outdated(context.spec, holding)
    return bool(idle and holding.serving)


class _Room:
    """What the caps leave, used up as placements are given their share of it.

    holds: replicas are missing, so nothing grows further under a cap on the cost.
    """

    def __init__(self, context: Context, prices: dict[str, float], plan: Sequence[Action], *, holds: bool) -> None:
        self._context, self._prices = context, prices
        self._dearest = max(prices.values(), default=0.0)
        self._in_region = dict(context.in_region)
        self._left = context.budget
        for action in plan:
            if isinstance(action, ApplyPlacement):
                region = action.offering.region
                self._in_region[region] = self._in_region.get(region, 0) + action.adds
                if self._left is not None:
                    self._left -= action.adds * self._price(action.offering.key)
        if holds and self._left is not None:
            self._left = min(0.0, self._left)

    def bounds(self, scaled: list[Free], asked: int) -> dict[str, int]:
        """Give how far each placement may go; the dearest gives up first where there is too much."""
        found = {}
        for holding, _ in sorted(scaled, key=lambda item: (-self._price(item[0].key), item[0].key)):
            base = max(holding.ceiling, holding.target)
            asks = min(asked, standing(holding)) if holding.rolling else asked
            most = min(asks, base + self._affordable(holding), base + self._roomy(holding))
            found[holding.key] = most = max(most, holding.target)
            self._in_region[holding.region] = self._in_region.get(holding.region, 0) + most - base
            if self._left is not None:
                self._left -= (most - base) * self._price(holding.key)
        return found

    def _price(self, key: str) -> float:
        return self._prices.get(key, self._dearest)

    def _affordable(self, holding: Holding) -> int:
        """Give how many more the cap on the cost has room for; fewer than none where it is passed."""
        price = self._price(holding.key)
        if self._left is None:
            return UNBOUNDED
        room = math.floor((self._left + SLACK) / price) if price > 0 else 0
        # At a price that nobody knows nothing may be added, and what it may cost at most takes nothing away.
        return room if holding.key in self._prices and price > 0 else min(0, room)

    def _roomy(self, holding: Holding) -> int:
        most = self._context.most_in(holding.region)
        return UNBOUNDED if most is None else most - self._in_region.get(holding.region, 0)


def _in_the_way(
    context: Context, candidates: tuple[Candidate, ...], prices: dict[str, float], holding: Holding
) -> bool:
    """Tell whether something that is missing could be asked for if this placement did not grow."""
    if not holding.beyond:
        return False
    freed = sum(h.beyond * prices.get(h.key, 0.0) for h in context.world.holdings if h.visible)
    for candidate in candidates:
        reasons = [refused.reason for refused in refusals(context, candidate)]
        if reasons == [Reason.REGION_FULL] and candidate.region == holding.region:
            return True
        left = math.inf if context.budget is None else context.budget + freed + SLACK
        if reasons == [Reason.OVER_COST_CAP] and candidate.price is not None and candidate.price <= left:
            return True
    return False


def _changes(context: Context, holding: Holding, workload: WorkloadFact, most: int) -> bool:
    """Tell whether there is anything to write: an autoscaler that could do nothing is not made."""
    there = workload.autoscaler
    if there is None:
        return most > holding.target
    return (there.minimum, there.maximum, there.spec_hash) != (holding.target, most, autoscaling_hash(context.spec))


def _start(holding: Holding, workload: WorkloadFact, most: int) -> StartAutoscaling:
    begins = workload.autoscaler is None
    return StartAutoscaling(
        holding.offering,
        holding.target,
        Autoscaled(most, workload.replicas if begins else holding.grown, workload.uid),
        workload.resource_version,
        "it serves, and the spec asks for it" if begins else "its bounds or settings change",
        begins=begins,
    )
