"""What comes next for one cluster on demand, from being asked for to being gone.

It is taken apart in the one order that leaks no network endpoint group: nothing is placed there, no address leads
there, the load balancer has let go, our objects are out, it is out of the fleet, it is deleted. Each step rests on what
this very pass saw; what cannot be seen keeps it where it is, and anything that is found there brings it back.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from controlplane.decide.growth.case import CREATION_PATIENCE, SETTLING, Case, Step, at
from controlplane.model.facts import Known
from controlplane.model.growth import ARRIVING, ClusterSeen, Grown, Progress, Stage
from controlplane.model.growthplan import (
    ClearCluster,
    CreateCluster,
    DeleteCluster,
    PrepareCluster,
    RegisterCluster,
    UnregisterCluster,
)
from controlplane.model.offering import ClusterRef
from controlplane.model.reasons import Reason

RUNS = frozenset({"RUNNING", "RECONCILING"})
UNSEEN = "what stands there cannot be seen, so nothing is taken for idle"
NOT_SET = (
    "spec.clustersOnDemand is not set in the Fleet: it is left as it is; set it again, or take the label gpu-hunter off"
    " to keep the cluster"
)


def advance(case: Case, ref: ClusterRef, grown: Grown) -> Step:
    """Give the next step of a cluster that is remembered."""
    seen = case.seen
    if case.fleet.on_demand is None:
        stays = at(grown, Stage.READY, case.now) if grown.stage in (Stage.DRAINING, Stage.UNWIRING) else grown
        return Step(stays, NOT_SET, alone=True)
    if ref == case.fleet.config:
        return Step(None, "the config cluster is never one of these")
    if not isinstance(seen.clusters, Known):
        return Step(grown, f"the clusters cannot be listed: {seen.clusters.message or seen.clusters.reason.value}")
    found = seen.clusters.value.get(ref)
    if found is None:
        return _absent(case, ref, grown)
    if not found.on_demand:
        taken = grown.stage is Stage.CREATING and not grown.uid
        failed = (Reason.NAME_TAKEN, f"{ref} is there and is not ours; change spec.members.name") if taken else None
        return Step(None, "it does not carry our label: it is an ordinary cluster", failed=failed)
    if grown.uid and grown.uid != found.uid:
        grown = Grown(Stage.CREATING, case.now, "it was made anew under its name")
    return _seen(case, ref, replace(grown, uid=found.uid), found)


def _seen(case: Case, ref: ClusterRef, grown: Grown, found: ClusterSeen) -> Step:
    if found.status == "ERROR" and grown.stage not in _IN_SERVICE:
        return _broken(case, ref, grown, found)
    if found.status == "PROVISIONING" and grown.stage is Stage.CREATING:
        return Step(grown, "it is being made")
    runs = found.status in RUNS or (found.status == "DEGRADED" and grown.stage not in ARRIVING)
    if not runs:
        return Step(grown, f"the cluster is {found.status}{f': {found.message}' if found.message else ''}")
    return _STAGES[grown.stage](case, ref, grown, found)


def _absent(case: Case, ref: ClusterRef, grown: Grown) -> Step:
    if not case.seen.whole:
        return Step(grown, f"the listing of clusters is not whole, without {', '.join(case.seen.unlisted)}")
    if grown.stage is Stage.CREATING and not grown.uid:
        return _unborn(case, ref, grown)
    if not case.memberships_known:
        return Step(at(grown, Stage.UNREGISTERING, case.now), "the cluster is gone; is it still in the fleet?")
    left = case.registered(ref)
    if left is None:
        dry = (Reason.COOLING_AFTER_STOCK_OUT, "a cluster was there and never got GPUs")
        return Step(None, "it is gone", failed=dry if grown.barren and not grown.obtained else None)
    action = UnregisterCluster(ref, left.name, "the cluster is gone")
    leaving = at(grown, Stage.UNREGISTERING, case.now)
    return Step(leaving, "the cluster is gone and still in the fleet", None if case.seen.doubt else action)


def _unborn(case: Case, ref: ClusterRef, grown: Grown) -> Step:
    """Go on with a cluster that was asked for, or was about to be, and that nobody has seen yet."""
    operation = case.seen.operations.get(ref.link)
    progress = operation.progress if operation else Progress.GONE
    if operation is not None and progress is Progress.FAILED:
        return Step(None, operation.message, failed=(Reason.CLUSTER_FAILED, operation.message))
    if case.now - grown.since > CREATION_PATIENCE:
        late = "it was asked for half an hour ago and never came"
        return Step(None, late, failed=(Reason.CLUSTER_FAILED, late))
    if progress in (Progress.RUNNING, Progress.DONE):
        return Step(grown, "it is being made")
    on_demand = case.fleet.on_demand
    wanted = on_demand is not None and ref.region in on_demand.regions
    if not wanted or case.seen.doubt or not any(need.regions.permits(ref.region) for need in case.needs):
        return Step(None, "it was not asked for yet, and is not needed any more")
    return Step(grown, "it is asked for again", CreateCluster(ref, case.labels, grown.why))


def _broken(case: Case, ref: ClusterRef, grown: Grown, found: ClusterSeen) -> Step:
    """Take away a cluster that could not be made; nothing was ever placed there."""
    message = found.message or "it could not be made"
    failed = (Reason.CLUSTER_FAILED, message) if grown.stage in ARRIVING else None
    step = _unregistering(case, ref, at(grown, Stage.UNREGISTERING, case.now), found)
    return replace(step, failed=failed, message=f"it could not be made: {message}")


def _creating(case: Case, ref: ClusterRef, grown: Grown, found: ClusterSeen) -> Step:
    if found.membership or case.registered(ref) is not None:
        return _preparing(case, ref, at(grown, Stage.PREPARING, case.now), found)
    waiting = at(grown, Stage.REGISTERING, case.now)
    if not case.memberships_known:
        return Step(waiting, "is it in the fleet? its memberships cannot be listed")
    return Step(waiting, "it joins the fleet", RegisterCluster(ref, "it is running"))


def _preparing(case: Case, ref: ClusterRef, grown: Grown, _found: ClusterSeen) -> Step:
    if grown.prepared and grown.kube_uid:
        return Step(at(grown, Stage.READY, case.now), "services may use it")
    return Step(grown, "it gets the reconciler's rights", PrepareCluster(ref, "it is new"))


def _serving(case: Case, ref: ClusterRef, grown: Grown, _found: ClusterSeen) -> Step:
    """Watch one that services may use, until it was idle for long enough."""
    use = case.use(ref)
    if use is None:
        return Step(at(grown, Stage.READY, case.now), UNSEEN)
    failed = None
    if use.holds:
        grown = replace(grown, obtained=True, barren=False)
    elif use.refused and not grown.obtained and not grown.barren:
        grown, failed = replace(grown, barren=True), (use.refused, "its cluster was refused GPUs")
    if kept := _kept_by(case, ref):
        return Step(at(grown, Stage.READY, case.now), kept, failed=failed)
    if grown.stage is Stage.READY:
        grown = at(grown, Stage.IDLE, case.now)
    on_demand = case.fleet.on_demand
    goes = grown.since + on_demand.idle_after if on_demand else None
    if goes is None or case.now < goes or case.seen.doubt:
        return Step(grown, "nothing is placed there", failed=failed, until=goes)
    return Step(at(grown, Stage.DRAINING, case.now), "it was idle for long enough", failed=failed)


def _draining(case: Case, ref: ClusterRef, grown: Grown, _found: ClusterSeen) -> Step:
    """Give services one pass in which they know that it goes."""
    if case.use(ref) is None:
        return Step(grown, UNSEEN)
    if kept := _kept_by(case, ref) or _wanted_again(case, ref):
        return Step(at(grown, Stage.READY, case.now), kept)
    if case.seen.doubt or case.now <= grown.since:
        return Step(grown, case.seen.doubt or "nothing is placed there any more from now on")
    return Step(at(grown, Stage.UNWIRING, case.now), "nothing is placed there")


def _unwiring(case: Case, ref: ClusterRef, grown: Grown, _found: ClusterSeen) -> Step:
    """Wait until no address leads there and the load balancer has let go; then take our objects out."""
    if case.use(ref) is None:
        return Step(grown, UNSEEN)
    if kept := _kept_by(case, ref) or _wanted_again(case, ref):
        return Step(at(grown, Stage.READY, case.now), kept)
    if held := _held(case, ref, grown):
        return Step(replace(grown, clean_since=None), held)
    if not grown.kube_uid:
        return Step(grown, "how do endpoint groups name it?", PrepareCluster(ref, "its identity is not known"))
    since = grown.clean_since or case.now
    grown, ready = replace(grown, clean_since=since), since + SETTLING
    if case.now < ready or case.seen.doubt:
        return Step(grown, case.seen.doubt or "no address leads there; the load balancer settles", until=ready)
    if not grown.cleared:
        return Step(grown, "our objects go", ClearCluster(ref, "no address leads there any more"))
    return Step(at(grown, Stage.UNREGISTERING, case.now), "our objects are out")


def _unregistering(case: Case, ref: ClusterRef, grown: Grown, found: ClusterSeen) -> Step:
    shared = ref in case.seen.members and found.status != "ERROR"
    if shared:  # services could still use it, so all is looked at once more
        if case.use(ref) is None:
            return Step(grown, UNSEEN)
        if kept := _kept_by(case, ref) or _held(case, ref, grown):
            return Step(at(grown, Stage.READY, case.now), kept)
    if not case.memberships_known:
        return Step(grown, "the memberships cannot be listed")
    membership = case.registered(ref)
    if membership is None:
        return _deleting(case, ref, at(grown, Stage.DELETING, case.now), found)
    action = UnregisterCluster(ref, membership.name, "it is not used any more")
    return Step(grown, case.seen.doubt or "it leaves the fleet", None if case.seen.doubt else action)


def _deleting(case: Case, ref: ClusterRef, grown: Grown, found: ClusterSeen) -> Step:
    if not case.memberships_known:
        return Step(grown, "is it out of the fleet? its memberships cannot be listed")
    if case.registered(ref) is not None:
        return Step(at(grown, Stage.UNREGISTERING, case.now), "it is in the fleet again")
    action = DeleteCluster(ref, found.uid, case.labels, "it is out of the fleet and not used any more")
    return Step(grown, case.seen.doubt or "it is deleted", None if case.seen.doubt or not found.uid else action)


def _kept_by(case: Case, ref: ClusterRef) -> str:
    """Say what keeps a cluster in use; nothing when it may go as far as services are concerned."""
    use = case.use(ref)
    if use is None or not isinstance(use.placements, Known):
        return UNSEEN
    if use.placements.value:
        return f"used by {', '.join(use.placements.value)}"
    return f"the address of {', '.join(use.only)} leads nowhere else" if use.only else ""


def _wanted_again(case: Case, ref: ClusterRef) -> str:
    """Say who needs a cluster that is about to go: taking it back is quicker than making one."""
    use = case.use(ref)
    refused = use is None or bool(use.refused)
    need = next((need for need in case.needs if not refused and need.regions.permits(ref.region)), None)
    return f"{need.service} needs it again" if need else ""


def _held(case: Case, ref: ClusterRef, grown: Grown) -> str:
    """Say by which addresses or endpoint groups a cluster is still held, or that it cannot be told."""
    use, groups = case.use(ref), case.seen.groups
    if use is None or not isinstance(use.wired, Known):
        return UNSEEN
    if use.wired.value:
        return f"the address of {', '.join(use.wired.value)} still leads there"
    if not isinstance(groups, Known):
        return f"network endpoint groups cannot be listed: {groups.message or groups.reason.value}"
    left = [group for group in groups.value if grown.kube_uid and group.cluster_uid == grown.kube_uid]
    return f"the load balancer still holds {len(left)} endpoint group(s), {left[0].name}" if left else ""


_IN_SERVICE = frozenset({Stage.READY, Stage.IDLE, Stage.DRAINING, Stage.UNWIRING})
_STAGES: Mapping[Stage, Callable[[Case, ClusterRef, Grown, ClusterSeen], Step]] = {
    Stage.CREATING: _creating,
    Stage.REGISTERING: _creating,
    Stage.PREPARING: _preparing,
    Stage.READY: _serving,
    Stage.IDLE: _serving,
    Stage.DRAINING: _draining,
    Stage.UNWIRING: _unwiring,
    Stage.UNREGISTERING: _unregistering,
    Stage.DELETING: _deleting,
}
