"""A placement's phases: Hunting, Warming, Serving, Draining, Cooling, and since when.

A GPU obtained, a Pod ready and a replica healthy behind the load balancer are different facts with different patience.
A replica that holds its GPU past the warm-up deadline without serving is impaired: the app is not well there. That
moves the service elsewhere and is no stock-out.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from controlplane.decide import capacity
from controlplane.decide.attempts import NOTHING_LEARNT
from controlplane.decide.world import Holding, World
from controlplane.model.memory import OfferingMemory, Phase
from controlplane.model.offering import RefusalClass
from controlplane.model.service import ServiceSpec

UNPROVEN_MARGIN = timedelta(minutes=10)
"""How much longer to wait when the load balancer does not tell that it has let go of a region."""


def advance(spec: ServiceSpec, world: World, now: datetime) -> World:
    """Give every holding the phase that the facts of this pass put it in."""
    return world.swap(tuple(_advanced(spec, world, h, now) if h.visible else h for h in world.holdings))


def note_unhealthy(
    spec: ServiceSpec, world: World, offerings: Mapping[str, OfferingMemory], now: datetime
) -> Mapping[str, OfferingMemory]:
    """Learn, once for each spell, that the app is not well somewhere."""
    learnt = dict(offerings)
    for holding in world.holdings:
        past = learnt.get(holding.key, NOTHING_LEARNT)
        began = holding.impaired_since
        if not holding.impaired or began is None or (past.last_refused_at and past.last_refused_at >= began):
            continue
        message = f"{holding.impaired} replica(s) hold GPUs but do not serve"
        refused = capacity.refused(spec, past, RefusalClass.APP_UNHEALTHY, message, now)
        template = holding.workload.template_hash if holding.workload else ""
        learnt[holding.key] = replace(refused, unwell_template=template)
    return learnt


def _advanced(spec: ServiceSpec, world: World, holding: Holding, now: datetime) -> Holding:
    idle = _idle(world, holding)
    impaired_since = (holding.impaired_since or now) if idle else None
    overdue = impaired_since is not None and now - impaired_since >= spec.timing.warmup_deadline
    impaired = min(idle, _old_enough(spec, holding, now)) if overdue else 0
    phase = phase_of(holding)
    advanced: dict[str, Any] = {
        "impaired_since": impaired_since,
        "impaired": impaired,
        "phase": phase,
        "since": holding.since if phase is holding.phase else now,
        "serving_since": _serving_since(holding, phase, now),
        "unwired_at": _unwired_at(spec, world, holding, now) if holding.draining else None,
    }
    if all(getattr(holding, name) == value for name, value in advanced.items()):
        return holding
    return replace(holding, **advanced)


def expel(world: World, now: datetime) -> World:
    """Begin to drain what stands where it may not be any more; nothing in flight is cut off for that."""

    def expelled(holding: Holding) -> Holding:
        if (holding.permitted and not holding.leaving) or holding.draining or not holding.visible:
            return holding
        why = "its cluster leaves the fleet" if holding.permitted else "its region is not allowed any more"
        return replace(
            holding,
            draining=True,
            since=now,
            unwired_at=None,
            attempt=None,
            reason=why,
        )

    if all(h.permitted and not h.leaving for h in world.holdings):
        return world
    return world.swap(tuple(expelled(h) for h in world.holdings))


def phase_of(holding: Holding) -> Phase:
    """Give the phase that the holding's numbers put it in."""
    if holding.draining:
        return Phase.DRAINING
    if holding.serving:
        return Phase.SERVING
    return Phase.WARMING if holding.scheduled else Phase.HUNTING


def _idle(world: World, holding: Holding) -> int:
    """Count replicas with a GPU that ought to serve by now and do not.

    A ready replica that the address is not wired to, or whose health nobody can tell, is not to blame.
    """
    judged = world.health is not None and holding.link in world.listed
    return holding.scheduled - (holding.serving if judged else holding.ready)


def _old_enough(spec: ServiceSpec, holding: Holding, now: datetime) -> int:
    pods = [p for p in holding.workload.live_pods if p.scheduled] if holding.workload else []
    return sum(p.scheduled_at is None or now - p.scheduled_at >= spec.timing.warmup_deadline for p in pods)


def _serving_since(holding: Holding, phase: Phase, now: datetime) -> datetime | None:
    if phase is Phase.SERVING:
        return holding.serving_since or now
    return holding.serving_since if phase is Phase.DRAINING else None


def _unwired_at(spec: ServiceSpec, world: World, holding: Holding, now: datetime) -> datetime | None:
    """Tell since when no new request reaches a draining placement; None while one still may."""
    if spec.replicas == 0:
        return holding.unwired_at or now  # a list is never empty, so the last cluster stays in it
    if world.ingress is None or holding.link in world.reached:
        return None
    if holding.unwired_at:
        return holding.unwired_at
    shared = any(c.region == holding.region and c.link in world.listed for c in world.clusters)
    let_go = world.health is not None and (shared or not world.health.get(holding.region, 0))
    late = timedelta(seconds=spec.ingress.draining_seconds) + UNPROVEN_MARGIN
    return now if let_go or now - holding.since >= late else None


def drained(spec: ServiceSpec, holding: Holding, now: datetime) -> bool:
    """Tell whether what was in flight at a draining placement has had its time to finish."""
    return holding.unwired_at is not None and now - holding.unwired_at >= patience(spec)


def patience(spec: ServiceSpec) -> timedelta:
    """Give how long what is in flight has to finish, with what the load balancer takes to notice."""
    return timedelta(seconds=spec.ingress.draining_seconds + spec.ingress.check_interval_seconds)
