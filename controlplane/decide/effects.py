"""What an action would do to what is held and to what serves, before it is done.

The guards of `safety.py` judge a plan by what would be left after each of its actions. That reckoning stands here, by
itself, so that every guard counts GPUs, routes and serving replicas in the same way.
"""

from collections.abc import Mapping
from typing import TypeAlias

from controlplane.decide.routing import unseen_but_healthy
from controlplane.decide.world import Holding, World
from controlplane.model.decision import (
    Action,
    DeletePlacement,
    ReleaseMember,
    RemoveFinalizer,
    ScaleDownPlacement,
    StopAutoscaling,
    UnwireIngress,
    WireIngress,
)

Removal: TypeAlias = DeletePlacement | ScaleDownPlacement


def gpus_taken(world: World, action: Action) -> int:
    """Give how many GPUs that are held an action takes away."""
    if not isinstance(action, (DeletePlacement, ScaleDownPlacement)):
        return 0
    holding = world.at(action.offering.key)
    scheduled = _scheduled(holding)
    rest = action.replicas if isinstance(action, ScaleDownPlacement) else 0
    return max(0, scheduled - rest)


def is_destructive(world: World, action: Action) -> bool:
    """Tell whether an action takes away something that is held: a GPU or a route."""
    if isinstance(action, WireIngress):
        return bool(action.removes)
    if isinstance(action, (UnwireIngress, ReleaseMember, RemoveFinalizer)):
        return True
    return isinstance(action, (DeletePlacement, ScaleDownPlacement, StopAutoscaling)) or gpus_taken(world, action) > 0


def harms(world: World, action: Action) -> bool:
    """Tell whether an action takes a route or a ready replica away."""
    if isinstance(action, WireIngress):
        return bool(action.removes)
    if not isinstance(action, (DeletePlacement, ScaleDownPlacement)):
        return False
    holding = world.at(action.offering.key)
    rest = action.replicas if isinstance(action, ScaleDownPlacement) else 0
    return holding is not None and holding.ready > rest and (holding.serving > 0 or world.health is None)


def serving_after(world: World, serving: Mapping[str, int], action: Action) -> dict[str, int]:
    """Give what would serve, by placement, once an action is done."""
    after = dict(serving)
    if isinstance(action, WireIngress):
        links = {h.key: h.link for h in world.holdings}
        return {key: count for key, count in after.items() if links[key] in action.clusters}
    if isinstance(action, (DeletePlacement, ScaleDownPlacement)) and action.offering.key in after:
        key = action.offering.key
        after[key] = max(0, after[key] - gpus_taken(world, action))
    return after


def carries_traffic(world: World, holding: Holding) -> bool:
    """Tell whether a placement is proven to serve: seen in this pass, wired, healthy behind the load balancer."""
    return bool(holding.visible and holding.serving and world.health is not None and holding.link in world.listed)


def unroutes_the_unseen(world: World, action: Action) -> bool:
    """Tell whether an action takes the route from a cluster that did not answer but has healthy backends."""
    return isinstance(action, WireIngress) and bool(unseen_but_healthy(world) & set(action.removes))


def _scheduled(holding: Holding | None) -> int:
    pods = holding.workload.live_pods if holding and holding.workload else ()
    return sum(p.scheduled for p in pods)
