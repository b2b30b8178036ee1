"""From what every placement is meant to be to the actions of this pass, as data, what adds before what takes away."""

from collections.abc import Mapping
from datetime import datetime

from controlplane.decide.allocation import Pick
from controlplane.decide.lifecycle import drained
from controlplane.decide.world import Holding, World
from controlplane.model.decision import Action, ApplyPlacement, Autoscaled, DeletePlacement, ScaleDownPlacement
from controlplane.model.observation import WorkloadFact
from controlplane.model.reasons import Reason
from controlplane.model.service import ServiceSpec

WHY: Mapping[Reason, str] = {
    Reason.BEST_SCORE: "replicas are missing, and this ranks best",
    Reason.FAILBACK_PROBE: "probes a preferred offering",
    Reason.BRIDGE: "bridges what is missing until Spot serves",
    Reason.SPARE: "a spare, for what is held is likely enough to be lost",
}


def plan(
    spec: ServiceSpec,
    world: World,
    picks: Mapping[str, Pick],
    rolling: frozenset[str],
    wiring: tuple[Action, ...],
    *,
    now: datetime,
) -> tuple[Action, ...]:
    """Give the actions in the order in which they are to be done."""
    applies = [_apply(h, picks.get(h.key), rolling) for h in world.holdings]
    begun = [_begin(pick) for key, pick in sorted(picks.items()) if world.at(key) is None]
    removals = [(_gpus(h), h.key, _remove(spec, world, h, now)) for h in world.holdings if h.key not in picks]
    return tuple(
        action
        for action in (
            *sorted((a for a in (*applies, *begun) if a), key=lambda a: (-a.adds, a.offering.key)),
            *wiring,
            *(removal for _, _, removal in sorted(removals, key=lambda item: item[:2])),
        )
        if action is not None
    )


def _apply(holding: Holding, pick: Pick | None, rolling: frozenset[str]) -> ApplyPlacement | None:
    if not holding.visible or not holding.kept:
        return None
    standing = holding.workload.replicas if holding.workload else 0
    wanted = max(holding.target, standing) if holding.attempt else standing
    if pick:
        return _bring(holding, holding.target + pick.replicas, pick.replicas, WHY[pick.reason])
    if wanted > standing:
        return _bring(holding, wanted, wanted - standing, "its attempt was decided and has not arrived there")
    if holding.key in rolling and holding.target >= standing:
        return _bring(holding, standing, 0, "the Pod template changed")
    return None


def _bring(holding: Holding, replicas: int, adds: int, why: str) -> ApplyPlacement:
    version = holding.workload.resource_version if holding.workload else None
    return ApplyPlacement(holding.offering, replicas, version, adds, why, autoscaled(holding, replicas))


def autoscaled(holding: Holding, replicas: int) -> Autoscaled | None:
    """Give how a placement is scaled that has an autoscaler, when so many replicas are wanted there; else None."""
    if not holding.ceiling or holding.workload is None:
        return None
    return Autoscaled(max(holding.ceiling, replicas), holding.grown, holding.workload.uid)


def _begin(pick: Pick) -> ApplyPlacement:
    return ApplyPlacement(pick.candidate.offering, pick.replicas, None, pick.replicas, WHY[pick.reason])


def _remove(
    spec: ServiceSpec, world: World, holding: Holding, now: datetime
) -> DeletePlacement | ScaleDownPlacement | None:
    workload = holding.workload
    if workload is None or not holding.visible:
        return None
    if holding.draining:
        ready = not holding.scheduled or drained(spec, holding, now) or _covered(world, holding)
        return delete(holding, workload, _why(holding)) if ready else None
    if holding.target <= 0:
        return delete(holding, workload, _why(holding))
    if holding.target < workload.replicas:
        return ScaleDownPlacement(
            holding.offering,
            holding.target,
            workload.replicas - holding.target,
            workload.uid,
            workload.resource_version,
            _why(holding),
            autoscaled(holding, holding.target),
        )
    return None


def delete(holding: Holding, workload: WorkloadFact, why: str) -> DeletePlacement:
    """Give the deletion of a placement with its autoscaler."""
    return DeletePlacement(
        holding.offering, workload.uid, workload.resource_version, why, autoscaled=holding.ceiling > 0
    )


def _covered(world: World, holding: Holding) -> bool:
    """Tell whether another placement of the same cluster serves, so that the cluster stays wired meanwhile."""
    return any(h.link == holding.link and h.kept and h.serving for h in world.holdings) and (
        world.health is not None and holding.link in world.listed
    )


def _why(holding: Holding) -> str:
    return holding.reason or "no GPU was to be had there"


def _gpus(holding: Holding) -> int:
    return holding.scheduled if holding.draining else max(0, holding.scheduled - holding.target)
