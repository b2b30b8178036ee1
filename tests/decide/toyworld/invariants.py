"""What must always hold: looked at before each plan is carried out, and after it.

A region is left when its serving replicas go out of traffic, as seen from outside and whatever memory says of it.
"""

from datetime import timedelta

from controlplane.model.decision import (
    ApplyPlacement,
    DeletePlacement,
    ScaleDownPlacement,
    StartAutoscaling,
    WireIngress,
)
from controlplane.model.memory import Phase

from .cloud import BrokenError
from .spec import SETTLED, seconds

OVERDUE = seconds(1800)


def check(t, decision) -> None:
    """Hold a plan to what must be true of it before it is carried out. Raises BrokenError."""
    spec = t.spec
    destructive = [a for a in decision.plan if isinstance(a, (ScaleDownPlacement, DeletePlacement))]
    for action in destructive:
        if action.offering.cluster.link in t.dark:
            raise BrokenError(f"S2: {action} rests on an unknown cluster")
    for action in decision.plan:
        if isinstance(action, ApplyPlacement) and not spec.regions.permits(action.offering.region):
            raise BrokenError(f"S3: {action}")
        if isinstance(action, WireIngress):
            fresh = set(action.clusters) - set(t.listed or ())
            if any(not spec.regions.permits(link.partition("/")[0]) for link in fresh):
                raise BrokenError(f"S3: {action}")
        if isinstance(action, WireIngress) and not action.clusters:
            raise BrokenError("S1: an empty list")
    taking = [a for a in destructive if _gpus(t, a)]
    if not spec.deleting and len(taking) > 2:
        raise BrokenError(f"S8: {taking}")
    if 2 * len({c.region for c in t.clusters if c.link in t.dark}) > len(t.clusters) and destructive:
        raise BrokenError(f"S8: {destructive} with most regions unknown")
    if spec.paused and not spec.deleting and (decision.plan or decision.memory != t.memory):
        raise BrokenError("S10: a paused service")
    keys = [v.offering for v in decision.verdicts]
    if set(t.offerings()) - set(keys) or len(keys) != len(set(keys)):
        raise BrokenError("Q1: an offering without a verdict, or with two")
    if any(not v.reasons for v in decision.verdicts):
        raise BrokenError("Q1: a verdict without a reason")
    if len(decision.memory.attempts) > 60:
        raise BrokenError("memory grows")


def _gpus(t, action) -> int:
    d = t.deployments[action.offering]
    if isinstance(action, ScaleDownPlacement) and action.autoscaled is not None:
        return 0  # it only may have fewer from now on
    scheduled = sum(p.scheduled is not None and not p.failed for p in d.pods)
    return max(0, scheduled - (action.replicas if isinstance(action, ScaleDownPlacement) else 0))


def check_after(t, decision, before: int) -> None:
    """Hold the world to what must be true once a plan was carried out; `before` replicas served until then."""
    spec = t.spec
    if spec.deleting:
        return
    hour = [region for at, region in t.left if t.now - at < timedelta(hours=1)]
    if any(hour.count(region) > 2 for region in hour):
        raise BrokenError(f"L5: more than two moves within the hour: {hour}")
    cap = spec.max_hourly_cost
    adds = any(isinstance(a, StartAutoscaling) or (isinstance(a, ApplyPlacement) and a.adds > 0) for a in decision.plan)
    if cap is not None and adds and t.worst_cost() > cap + 1e-6 and t.worst_cost() > t.worst_before + 1e-6:
        raise BrokenError(f"S4: ${t.worst_cost():.2f}/h over the cap of ${cap:.2f}/h")
    after = t.serving()
    routed = sum(
        n for r, n in t.healthy().items() if any(c.region == r and c.link in (t.listed or ()) for c in t.clusters)
    )
    rewired = any(isinstance(a, WireIngress) for a in decision.plan)
    overruled = _residency_changed(t) and not rewired  # S3 goes before S1, while the balancer lags behind
    if before > 0 and spec.replicas > 0 and (after == 0 or routed == 0) and not overruled:
        raise BrokenError(f"S1: our own action ended the service: {[str(a) for a in decision.plan]}")
    if after < before and after < spec.replicas and decision.plan and cap is None and not _residency_changed(t):
        raise BrokenError(f"S6: {before} served, {after} do: {[str(a) for a in decision.plan]}")


def _residency_changed(t) -> bool:
    return any(not t.spec.regions.permits(o.region) for o in t.serving_offerings()) or bool(
        t.spec.regions.denied or t.spec.regions.allowed
    )


def leaves(t, action) -> list[str]:
    """Give the regions whose serving replicas an action takes out of traffic: what a move is, seen from outside.

    What had answered for less than some minutes was never settled there, so its going is no move; and what a guard
    has held back for half an hour was decided long ago.
    """
    if isinstance(action, WireIngress):
        removed = _settled_links(t) - set(action.clusters)
        return sorted({o.region for o, d in t.deployments.items() if o.cluster.link in removed and _old(t, d)})
    if isinstance(action, ScaleDownPlacement) and action.autoscaled is not None:
        return []
    if isinstance(action, (ScaleDownPlacement, DeletePlacement)):
        d, settled = t.deployments[action.offering], action.offering.cluster.link in _settled_links(t)
        overdue = [p for p in t.memory.placements if p.phase is Phase.DRAINING and t.now - p.since >= OVERDUE]
        if action.offering in {p.offering for p in overdue}:
            return []
        rest = action.replicas if isinstance(action, ScaleDownPlacement) else 0
        return [action.offering.region] if settled and _old(t, d) > rest else []
    return []


def _settled_links(t) -> set[str]:
    """Give the clusters that have been wired for some minutes and that the address still leads to."""
    since = t.now - SETTLED - t.lag
    past = [links for at, links in t.list_history if at <= since][-1:]
    lists = [*past, *(links for at, links in t.list_history if at > since), t.listed or ()]
    return set.intersection(*map(set, lists)) if past else set()


def _old(t, d) -> int:
    return sum(p.ready is not None and not p.failed and t.now - p.ready >= SETTLED for p in d.pods)
