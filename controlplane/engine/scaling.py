"""Handing a placement's number of replicas to an autoscaler, and taking it back.

Between the two nobody else may set it: while an autoscaler is there, our applies leave the field out. It is let go of
before the autoscaler is made, and held by a manager of its own meanwhile, since a field that nobody owns falls to its
default of one replica. On the way back the autoscaler goes first. Every step can be the last one of a process that is
killed: the next pass sees who is there and goes on.
"""

from dataclasses import dataclass

import regional_deploy
from controlplane.engine.fence import Fence
from controlplane.engine.ports import Manifest, MemberCluster
from controlplane.engine.rewire import is_ours
from controlplane.model import naming
from controlplane.model.decision import (
    ApplyPlacement,
    Autoscaled,
    DeletePlacement,
    ScaleDownPlacement,
    StartAutoscaling,
    StopAutoscaling,
)
from controlplane.model.offering import Offering
from controlplane.model.service import ServiceSpec
from controlplane.model.template import autoscaling_hash, spec_template_hash


@dataclass(frozen=True, slots=True)
class Scaling:
    """One placement's autoscaler in its cluster."""

    member: MemberCluster
    spec: ServiceSpec
    offering: Offering
    fence: Fence

    def start(self, action: StartAutoscaling) -> str:
        """Make it or bring it up to date; give the name of an object that is in the way and not ours."""
        manifest = self._manifest(action.replicas, action.autoscaled)
        found = self.member.get(manifest)
        if found is not None and not is_ours(found, manifest):
            return f"HorizontalPodAutoscaler/{manifest['metadata']['name']} is not ours"
        if action.begins:
            self.let_go(action.autoscaled, action.resource_version)
        self.fence.check()
        self.member.apply(manifest)
        return ""

    def stop(self, action: StopAutoscaling) -> None:
        """Delete it, then set the replicas."""
        self.delete()
        self.fence.check(destructive=True)
        self.member.scale_down(
            self.spec.namespace,
            self._name,
            action.replicas,
            resource_version=action.resource_version,
            fence=self.fence.number,
        )

    def bound(self, action: ApplyPlacement | ScaleDownPlacement, autoscaled: Autoscaled) -> None:
        """Bring it to another least number of replicas."""
        self.fence.check()
        self.member.apply(self._manifest(action.replicas, autoscaled))

    def let_go(self, autoscaled: Autoscaled, resource_version: str) -> None:
        """Apply the Deployment without its replicas, which stay as they were seen."""
        self.fence.check()
        version = self.member.hand_over(
            self.spec.namespace, self._name, autoscaled.seen, resource_version=resource_version
        )
        deployment = regional_deploy.deployment(
            self.spec,
            self.offering,
            replicas=None,
            spec_hash=spec_template_hash(self.spec, self.offering),
            fence=self.fence.number,
        )
        self.fence.check()
        self.member.apply(deployment, resource_version=version)

    def delete(self) -> None:
        """Delete it, if it is ours."""
        self.fence.check(destructive=True)
        self.member.delete_owned(self._manifest(1, Autoscaled(1, 1, "")))

    def delete_with(self, action: DeletePlacement) -> None:
        """Delete it before its Deployment, so that it brings nothing back meanwhile."""
        if action.autoscaled:
            self.delete()
        self.fence.check(destructive=True)
        self.member.delete_deployment(
            self.spec.namespace, self._name, uid=action.uid, resource_version=action.resource_version
        )

    def _manifest(self, minimum: int, autoscaled: Autoscaled) -> Manifest:
        return regional_deploy.autoscaler(
            self.spec,
            self.offering,
            minimum=minimum,
            maximum=max(minimum, autoscaled.maximum),
            uid=autoscaled.uid,
            spec_hash=autoscaling_hash(self.spec),
        )

    @property
    def _name(self) -> str:
        return naming.deployment_name(self.spec.name, self.offering.accelerator, self.offering.capacity)
