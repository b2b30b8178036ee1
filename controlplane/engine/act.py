"""Carrying out a plan: what adds first, then the wiring, then what takes away.

Every action is one write, or a few that are idempotent, and each is done at most once a pass. A write whose outcome is
not known ends the work on that cluster, and any failure before what takes away keeps that from happening: the next
pass sees what is there and decides again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import regional_deploy
from controlplane.clock import Clock
from controlplane.engine.carrying import Carrying
from controlplane.engine.fence import Fence
from controlplane.engine.outcome import Outcome, Result
from controlplane.engine.ports import ConfigCluster, Json, Manifest, MemberCluster
from controlplane.engine.rewire import Rewiring, is_ours
from controlplane.engine.scaling import Scaling
from controlplane.engine.wirings import Wirings
from controlplane.gateways import errors
from controlplane.model import naming
from controlplane.model.decision import (
    Action,
    ApplyPlacement,
    DeletePlacement,
    ReleaseMember,
    RemoveFinalizer,
    ScaleDownPlacement,
    StartAutoscaling,
    StopAutoscaling,
    UnwireIngress,
    WireIngress,
)
from controlplane.model.offering import ClusterRef
from controlplane.model.service import IngressKind, ServiceSpec
from controlplane.model.template import spec_template_hash

ADDS = (ApplyPlacement,)
TAKES_AWAY = (ScaleDownPlacement, DeletePlacement, StopAutoscaling, UnwireIngress, ReleaseMember, RemoveFinalizer)
PLACED = (ApplyPlacement, ScaleDownPlacement, DeletePlacement, StartAutoscaling, StopAutoscaling)


@dataclass(frozen=True, slots=True)
class Work:
    """One service's plan with all that is needed to carry it out.

    up_to_date: placements whose Deployment already has the wanted template, so that only its replicas change.
    visible: members that answered when this pass looked.
    wired_versions: by kind of ingress, the resourceVersion of the list of clusters that was decided on; empty where
    there was none.
    """

    spec: ServiceSpec
    service: Json
    plan: tuple[Action, ...]
    handles: Mapping[ClusterRef, MemberCluster]
    up_to_date: frozenset[str] = frozenset()
    visible: frozenset[ClusterRef] = frozenset()
    wired_versions: Mapping[IngressKind, str] = field(default_factory=dict)


class Executor:
    """Carries out plans."""

    def __init__(self, config: ConfigCluster, wirings: Wirings, fence: Fence, clock: Clock) -> None:
        self._config, self._wirings, self._fence, self._clock = config, wirings, fence, clock
        self._carrying: Carrying[Action] = Carrying(fence, clock, "GPUService")

    def run(self, work: Work) -> tuple[Result, ...]:
        """Carry out the plan and tell what became of each action, in the plan's order."""
        results: dict[int, Result] = {}
        stages = (
            [a for a in work.plan if isinstance(a, ADDS)],
            [a for a in work.plan if isinstance(a, WireIngress)],
            [a for a in work.plan if isinstance(a, TAKES_AWAY) and not isinstance(a, RemoveFinalizer)],
            # Last of all that is done for a service, so that what cannot be scaled by load holds nothing else back.
            [a for a in work.plan if isinstance(a, StartAutoscaling)],
            [a for a in work.plan if isinstance(a, RemoveFinalizer)],
        )
        held_back = ""
        for stage in stages:
            takes = bool(stage) and isinstance(stage[0], TAKES_AWAY)
            done = (
                [Result(action, Outcome.SKIPPED, held_back) for action in stage]
                if takes and held_back
                else self._stage(work, stage)
            )
            results.update({id(result.action): result for result in done})
            failed = next((r for r in done if r.outcome is not Outcome.DONE), None)
            if failed is not None and not held_back:
                held_back = f"nothing is taken away after: {failed.action}: {failed.outcome.value}"
        return tuple(results[id(action)] for action in work.plan)

    def _stage(self, work: Work, actions: Sequence[Action]) -> list[Result]:
        apart = bool(actions) and isinstance(actions[0], StartAutoscaling)
        return self._carrying.stage(actions, _cluster, partial(self._do, work), work.handles, apart=apart)

    def _do(self, work: Work, action: Action) -> str:
        """Carry out one action; give the name of an object that is in the way and not ours."""
        spec = work.spec
        self._fence.check(destructive=isinstance(action, TAKES_AWAY) or _removes(action))
        match action:
            case ApplyPlacement():
                return self._apply(work, action)
            case ScaleDownPlacement() if action.autoscaled is not None:
                self._scaling(work, action).bound(action, action.autoscaled)
            case ScaleDownPlacement():
                work.handles[action.offering.cluster].scale_down(
                    spec.namespace,
                    _name(spec, action),
                    action.replicas,
                    resource_version=action.resource_version,
                    fence=self._fence.number,
                )
            case DeletePlacement():
                self._scaling(work, action).delete_with(action)
            case StartAutoscaling():
                return self._scaling(work, action).start(action)
            case StopAutoscaling():
                self._scaling(work, action).stop(action)
            case WireIngress():
                version = work.wired_versions.get(action.kind, "")
                return self._rewiring(work, action).wire(spec, action, version)
            case UnwireIngress():
                self._rewiring(work, action).unwire(spec)
            case ReleaseMember():
                wired = [m for wiring in self._wirings.values() if (m := wiring.member_manifest(spec)) is not None]
                for manifest in (*wired, *regional_deploy.release_order(spec)):
                    self._fence.check(destructive=True)
                    # What bears our name and is not ours stays, and does not keep the service from going.
                    work.handles[action.cluster].delete_owned(manifest)
            case RemoveFinalizer():
                finalizers = work.service["metadata"].get("finalizers") or []
                self._config.set_finalizers(work.service, [f for f in finalizers if f != naming.FINALIZER])
        return ""

    def _apply(self, work: Work, action: ApplyPlacement) -> str:
        spec, offering = work.spec, action.offering
        member = work.handles[offering.cluster]
        if action.autoscaled is not None and offering.key in work.up_to_date:
            self._scaling(work, action).bound(action, action.autoscaled)
            return ""
        deployment = regional_deploy.deployment(
            spec,
            offering,
            replicas=action.replicas,
            spec_hash=spec_template_hash(spec, offering),
            fence=self._fence.number,
        )
        if action.resource_version is not None and offering.key in work.up_to_date:
            member.apply(deployment, resource_version=action.resource_version)
            return ""
        if action.resource_version is None:
            foreign = _in_the_way(member, deployment)
            if foreign:
                return foreign
        self._fence.check()
        member.ensure(regional_deploy.namespace(spec.namespace))
        self._fence.check()
        member.ensure(regional_deploy.priority_class())
        for manifest in regional_deploy.region_manifests(spec):
            found = member.get(manifest)
            if found is not None and not is_ours(found, manifest):
                return f"{manifest['kind']}/{manifest['metadata']['name']} in {offering.cluster.link} is not ours"
            self._fence.check()
            member.apply(manifest)
        if action.autoscaled is not None and action.resource_version is not None:
            self._scaling(work, action).let_go(action.autoscaled, action.resource_version)
            self._scaling(work, action).bound(action, action.autoscaled)
            return ""
        self._fence.check()
        member.apply(deployment, resource_version=action.resource_version)
        return ""

    def _scaling(
        self,
        work: Work,
        action: ApplyPlacement | ScaleDownPlacement | DeletePlacement | StartAutoscaling | StopAutoscaling,
    ) -> Scaling:
        return Scaling(work.handles[action.offering.cluster], work.spec, action.offering, self._fence)

    def _rewiring(self, work: Work, action: WireIngress | UnwireIngress) -> Rewiring:
        members = {ref.link: handle for ref, handle in work.handles.items() if ref in work.visible}
        return Rewiring(self._config, self._wirings[action.kind], self._fence, self._clock, members)


def _in_the_way(member: MemberCluster, deployment: Manifest) -> str:
    """Look before creating: server-side apply would take over what is there already."""
    found = member.get(deployment)
    if found is None:
        return ""
    if not is_ours(found, deployment):
        return f"Deployment/{deployment['metadata']['name']} is not ours"
    raise errors.AlreadyExists("the Deployment appeared since it was observed")


def _cluster(action: Action) -> ClusterRef | None:
    """Give the member an action is for; None is the config cluster."""
    if isinstance(action, PLACED):
        return action.offering.cluster
    return action.cluster if isinstance(action, ReleaseMember) else None


def _removes(action: Action) -> bool:
    return isinstance(action, WireIngress) and bool(action.removes)


def _name(spec: ServiceSpec, action: ScaleDownPlacement) -> str:
    return naming.deployment_name(spec.name, action.offering.accelerator, action.offering.capacity)
