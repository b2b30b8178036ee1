"""The last word: guards that can only take actions out of a plan, each for one invariant.

Whatever the steps before decide, and whatever bug they have, nothing leaves this module that would break S1 to S8.
Each guard walks the plan in order and remembers what the actions it let pass have already changed; so a plan whose
actions are each harmless alone is still stopped where they add up to harm.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from controlplane.decide.effects import (
    Removal,
    carries_traffic,
    gpus_taken,
    harms,
    is_destructive,
    serving_after,
    unroutes_the_unseen,
)
from controlplane.decide.world import World
from controlplane.model.decision import (
    Action,
    ApplyPlacement,
    DeletePlacement,
    ScaleDownPlacement,
    StartAutoscaling,
    StopAutoscaling,
    Suppressed,
    UnwireIngress,
    WireIngress,
)
from controlplane.model.offering import Offering
from controlplane.model.service import ServiceSpec

MAX_DESTRUCTIVE = 2
"""Placements that hold GPUs and may lose some of them in one pass."""

SCALES = (StartAutoscaling, StopAutoscaling)
WRITES = (ApplyPlacement, DeletePlacement, ScaleDownPlacement, *SCALES)
"""What writes a placement's workload."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What guards may look at.

    goal: replicas that must go on serving. prices: per replica and hour; what is not in it costs any amount.
    """

    spec: ServiceSpec
    world: World
    goal: int
    cost: float
    prices: Mapping[str, float]
    first_pass: bool
    fleet_complete: bool


Guard: TypeAlias = Callable[[Scene, tuple[Action, ...]], tuple[Suppressed, ...]]


def s1_last_healthy_region(scene: Scene, plan: tuple[Action, ...]) -> tuple[Suppressed, ...]:
    """Never take the last healthy serving region out of traffic, by its route or by its Pods."""
    if scene.spec.deleting or scene.spec.replicas == 0:
        return ()
    serving = {h.key: h.serving for h in scene.world.holdings if carries_traffic(scene.world, h)}
    found: list[Suppressed] = []
    for action in plan:
        after = serving_after(scene.world, serving, action)
        empty = isinstance(action, WireIngress) and not action.clusters
        if isinstance(action, UnwireIngress) and not _superseded(scene.world, action, serving):
            found.append(Suppressed(action, "S1", "the service is not reached by another wiring"))
        elif empty or (sum(after.values()) == 0 and harms(scene.world, action)):
            found.append(Suppressed(action, "S1", "no healthy region would be left in traffic"))
        else:
            serving = after
    return tuple(found)


def s2_nothing_on_unknown(scene: Scene, plan: tuple[Action, ...]) -> tuple[Suppressed, ...]:
    """Rest nothing destructive on unknown, stale or partial data, nor on a memory that has just begun."""

    def why(action: Action) -> str | None:
        if not is_destructive(scene.world, action):
            return None
        if scene.first_pass and not scene.spec.deleting:
            return "memory has just begun, so this pass only looks and adds"
        if not scene.fleet_complete and not (scene.spec.deleting and isinstance(action, DeletePlacement)):
            return "the fleet is not wholly known"
        if scene.world.ingress is None and gpus_taken(scene.world, action):
            return "the ingress cannot be read"
        unwired = isinstance(action, WireIngress) or (isinstance(action, UnwireIngress) and not scene.spec.deleting)
        if unwired and scene.world.health is None:
            return "the health of the backends is not known"
        if isinstance(action, (DeletePlacement, ScaleDownPlacement)):
            return _unseen(scene, action)
        return None

    return _each(plan, "S2", why)


def s3_residency(scene: Scene, plan: tuple[Action, ...]) -> tuple[Suppressed, ...]:
    """Put or route nothing where the user does not allow it."""

    def why(action: Action) -> str | None:
        if isinstance(action, (ApplyPlacement, StartAutoscaling)):
            region = action.offering.region
            return None if scene.spec.regions.permits(region) else f"{region} is not allowed"
        if isinstance(action, WireIngress):
            regions = {h.link: h.region for h in scene.world.holdings}
            regions.update({c.link: c.region for c in scene.world.clusters})
            denied = [a for a in action.adds if not scene.spec.regions.permits(regions.get(a, ""))]
            return f"{', '.join(denied)} is not allowed" if denied else None
        return None

    return _each(plan, "S3", why)


def s4_cost_cap(scene: Scene, plan: tuple[Action, ...]) -> tuple[Suppressed, ...]:
    """Keep what runs and what is being asked for within the cap."""
    cap = scene.spec.max_hourly_cost
    cost, found = scene.cost, []
    for action in plan:
        replicas = _more(scene.world, action)
        if cap is None or not isinstance(action, (ApplyPlacement, StartAutoscaling)) or replicas <= 0:
            continue
        more = replicas * scene.prices.get(action.offering.key, math.inf)
        if not cost + more <= cap + 1e-6:
            found.append(Suppressed(action, "S4", f"${cost + more:.2f}/h would pass the cap of ${cap:.2f}/h"))
        else:
            cost += more
    return tuple(found)


def s5_one_workload(scene: Scene, plan: tuple[Action, ...]) -> tuple[Suppressed, ...]:
    """Keep to one workload per placement and one write per workload."""
    touched: set[Offering] = set()

    def why(action: Action) -> str | None:
        if not isinstance(action, WRITES):
            return None
        if action.offering in touched:
            return "another action of this plan writes the same workload"
        touched.add(action.offering)
        if not isinstance(action, (ApplyPlacement, StartAutoscaling)):
            return None
        if action.offering.cluster not in scene.world.visible:
            return "its cluster was not read, so a workload may already be there"
        holding = scene.world.at(action.offering.key)
        workload = holding.workload if holding else None
        if action.offering.key in scene.world.removing:
            return "its earlier workload is still being deleted"
        live = workload.resource_version if workload else None
        return None if live == action.resource_version else "it does not rest on the workload that was seen"

    return _each(plan, "S5", why)


def s6_make_before_break(scene: Scene, plan: tuple[Action, ...]) -> tuple[Suppressed, ...]:
    """Let what serves go only while enough others are proven healthy, and out of the load balancer before it dies."""
    if scene.spec.deleting:
        return ()
    serving = {h.key: h.serving for h in scene.world.holdings if carries_traffic(scene.world, h)}
    found: list[Suppressed] = []
    for action in plan:
        after = serving_after(scene.world, serving, action)
        hurt = [h for h in scene.world.holdings if after.get(h.key, 0) < serving.get(h.key, 0)]
        need = min(1, scene.goal) if hurt and not any(h.permitted for h in hurt) else scene.goal
        rest = sum(after.values())
        if (hurt or unroutes_the_unseen(scene.world, action)) and rest < need:
            found.append(Suppressed(action, "S6", f"{rest} would serve, {need} must"))
        elif isinstance(action, DeletePlacement) and not _out_of_traffic(scene, action):
            found.append(Suppressed(action, "S6", "requests still reach it"))
        else:
            serving = after
    return tuple(found)


def s7_ours_only(scene: Scene, plan: tuple[Action, ...]) -> tuple[Suppressed, ...]:
    """Touch only what carries our labels, and only the very object that was seen."""
    ours = {h.offering: h.workload for h in scene.world.holdings if h.workload}

    def why(action: Action) -> str | None:
        if isinstance(action, (WireIngress, UnwireIngress)) and _foreign(scene.world, action):
            return "the ingress objects belong to somebody else"
        if isinstance(action, (DeletePlacement, ScaleDownPlacement, *SCALES)):
            workload = ours.get(action.offering)
            uid = action.autoscaled.uid if isinstance(action, StartAutoscaling) else action.uid
            if workload is None or (workload.uid, workload.resource_version) != (uid, action.resource_version):
                return "it is not the object that was seen as ours"
        return None

    return _each(plan, "S7", why)


def s8_few_at_a_time(scene: Scene, plan: tuple[Action, ...]) -> tuple[Suppressed, ...]:
    """Take little away in one pass, and nothing while more than half of the regions are Unknown.

    A deleted service may go at once: that is the user's word, not a conclusion.
    """
    taken, found = 0, []
    for action in plan:
        if not is_destructive(scene.world, action):
            continue
        if scene.world.majority_unknown:
            found.append(Suppressed(action, "S8", "more than half of the regions are Unknown"))
            continue
        taken += gpus_taken(scene.world, action) > 0
        if taken > MAX_DESTRUCTIVE and gpus_taken(scene.world, action) and not scene.spec.deleting:
            found.append(Suppressed(action, "S8", f"{MAX_DESTRUCTIVE} placements a pass are enough"))
    return tuple(found)


def s10_paused(scene: Scene, plan: tuple[Action, ...]) -> tuple[Suppressed, ...]:
    """Write nothing for a paused service; its deletion is the user's later word and is followed."""
    held = scene.spec.paused and not scene.spec.deleting
    return _each(plan, "S10", lambda _: "the service is paused" if held else None)


GUARDS: tuple[Guard, ...] = (
    s1_last_healthy_region,
    s2_nothing_on_unknown,
    s3_residency,
    s4_cost_cap,
    s5_one_workload,
    s6_make_before_break,
    s7_ours_only,
    s8_few_at_a_time,
    s10_paused,
)


def screen(
    scene: Scene, plan: tuple[Action, ...], guards: tuple[Guard, ...] | None = None
) -> tuple[tuple[Action, ...], tuple[Suppressed, ...]]:
    """Let every guard take out what it must, one after the other, and give what is left."""
    held_back: list[Suppressed] = []
    if not plan:
        return (), ()
    for guard in GUARDS if guards is None else guards:
        found = guard(scene, plan)
        gone = [s.action for s in found]
        plan = tuple(a for a in plan if a not in gone)
        held_back.extend(found)
    return plan, tuple(held_back)


def _each(plan: tuple[Action, ...], guard: str, why: Callable[[Action], str | None]) -> tuple[Suppressed, ...]:
    judged = [(action, why(action)) for action in plan]
    return tuple(Suppressed(action, guard, text) for action, text in judged if text)


def _superseded(world: World, action: UnwireIngress, serving: Mapping[str, int]) -> bool:
    """Tell whether the service is reached by the other kind of wiring, and served there."""
    return world.ingress is not None and world.ingress.kind is not action.kind and sum(serving.values()) > 0


def _foreign(world: World, action: WireIngress | UnwireIngress) -> bool:
    second = world.second
    return second.foreign if second is not None and second.kind is action.kind else world.ingress_foreign


def _unseen(scene: Scene, action: Removal) -> str | None:
    if action.offering.cluster not in scene.world.visible:
        return f"{action.offering.cluster} was not read in this pass"
    if scene.spec.deleting or scene.world.health is not None:
        return None  # a service that is being deleted has no backends any more whose health could be known
    holding = scene.world.at(action.offering.key)
    return "the health of the backends is not known" if holding and holding.ready else None


def _more(world: World, action: Action) -> int:
    """Give how many replicas an action makes possible that the cost does not hold yet."""
    if isinstance(action, ApplyPlacement):
        return 0 if _already_counted(world, action) else action.adds
    if isinstance(action, StartAutoscaling):
        holding = world.at(action.offering.key)
        return action.autoscaled.maximum - (holding.billed if holding else 0)
    return 0


def _already_counted(world: World, action: ApplyPlacement) -> bool:
    """Tell whether the cost already holds an attempt that was decided before and is only sent again."""
    holding = world.at(action.offering.key)
    return holding is not None and holding.attempt is not None and action.replicas <= holding.billed


def _out_of_traffic(scene: Scene, action: DeletePlacement) -> bool:
    """Tell whether no request reaches a placement any more, or others of its cluster take them."""
    holding = scene.world.at(action.offering.key)
    if holding is None or not holding.serving or holding.unwired_at is not None:
        return True
    return any(h.link == holding.link and h.key != holding.key and h.kept and h.serving for h in scene.world.holdings)
