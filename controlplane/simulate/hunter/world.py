"""The world between the market and the decision: events in, observations out, actions in, requests out.

Most passes see what the pass before saw. So facts are kept as frozen values and made anew only for the clusters in
which something happened; `revision` counts the changes, which tells the loop whether there is anything new to decide.

The load balancer is a prompt one: what is ready in a listed cluster is healthy in the next observation.
"""

from dataclasses import replace

from controlplane.model.decision import (
    Action,
    ApplyPlacement,
    DeletePlacement,
    ScaleDownPlacement,
    WireIngress,
)
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import (
    ClusterInfo,
    IngressFact,
    Member,
    Observation,
    RegionSignals,
    WorkloadFact,
)
from controlplane.model.offering import Capacity, ClusterRef, Offering
from controlplane.model.service import ServiceSpec
from controlplane.model.template import ingress_spec_hash, spec_template_hash
from controlplane.simulate.hunter.deployments import EPOCH, Deployment, Pod, instant
from controlplane.simulate.hunter.places import Places
from controlplane.simulate.market import Market, Preempted

ADDRESS = "203.0.113.1"
NOT_SIMULATED = Unknown(UnknownReason.NOT_ASKED, EPOCH)


class World:
    """Clusters, Deployments and the load balancer of one simulated service."""

    def __init__(self, places: Places) -> None:
        self.revision = 0
        self._places = places
        self._deployments: dict[Offering, Deployment] = {}
        self._pods: dict[int, tuple[Deployment, Pod]] = {}
        self._infos = {place.cluster: ClusterInfo(place.cluster) for place in places.all}
        self._facts: dict[ClusterRef, tuple[WorkloadFact, ...]] = dict.fromkeys(self._infos, ())
        self._stale: set[ClusterRef] = set()
        self._showing: list[Deployment] = []
        self._ingress = IngressFact(None, None, Known({}, EPOCH))
        self._unchanging = Observation(
            at=EPOCH,
            fleet=Known(tuple(self._infos.values()), EPOCH),
            members={},
            signals={
                place.cluster.region: RegionSignals(Known(frozenset({place.accelerator.type}), EPOCH), NOT_SIMULATED)
                for place in places.all
            },
            ingress=NOT_SIMULATED,
            project_gpu_quota=NOT_SIMULATED,
            prices=places.prices(),
        )

    # what happened

    def heed(self, market: Market) -> None:
        """Take in what the market has told since the last step. A lost Pod gets its successor at once."""
        for event in market.recent:
            known = self._pods.get(event.lease.id)
            if known is None:
                continue
            deployment, pod = known
            pod.heed(event)
            self._changed(deployment)
            if isinstance(event, Preempted):
                del self._pods[event.lease.id]
                self._watch(deployment, deployment.replace(market, pod))

    # what is seen

    def observe(self, now: float) -> Observation:
        """Give what a pass sees at this instant."""
        at = instant(now)
        for cluster in self._stale:
            standing = [d for o, d in self._deployments.items() if o.cluster == cluster]
            self._facts[cluster] = tuple(d.fact() for d in standing)
            self._showing.extend(d for d in standing if d.lost)
        if self._stale:
            self._stale.clear()
            self._ingress = replace(self._ingress, healthy=Known(self._healthy(), at))
        return replace(
            self._unchanging,
            at=at,
            members={ref: Member(info, Known(self._facts[ref], at)) for ref, info in self._infos.items()},
            ingress=Known(self._ingress, at),
        )

    def _healthy(self) -> dict[str, int]:
        listed = self._ingress.clusters or ()
        found: dict[str, int] = {}
        for deployment in self._deployments.values():
            if deployment.offering.cluster.link in listed:
                ready = sum(pod.ready is not None for pod in deployment.pods)
                found[deployment.offering.region] = found.get(deployment.offering.region, 0) + ready
        return found

    def sweep(self) -> None:
        """Forget the lost Pods that a pass has seen: with its node, a Pod's object goes too."""
        for deployment in self._showing:
            if deployment.lost:
                deployment.lost.clear()
                self._changed(deployment)
        self._showing.clear()

    # what is done

    def perform(self, spec: ServiceSpec, action: Action, market: Market) -> None:
        """Do what was decided. Raises RuntimeError when it does not rest on what stands there: a write would fail."""
        if isinstance(action, WireIngress):
            self._ingress = replace(
                self._ingress, clusters=action.clusters, address=ADDRESS, spec_hash=ingress_spec_hash(spec)
            )
            self._stale.update(self._infos)
            self.revision += 1
        elif isinstance(action, ApplyPlacement):
            deployment = self._standing(action, market)
            deployment.template = spec_template_hash(spec, action.offering)
            self._scale(deployment, action.replicas, market)
        elif isinstance(action, ScaleDownPlacement):
            self._scale(self._standing(action, market), action.replicas, market)
        elif isinstance(action, DeletePlacement):
            self._scale(self._standing(action, market), 0, market)
            del self._deployments[action.offering]
        else:
            raise TypeError(f"the simulated service stays, and yet: {action}")

    def _standing(self, action: ApplyPlacement | ScaleDownPlacement | DeletePlacement, market: Market) -> Deployment:
        found = self._deployments.get(action.offering)
        if action.resource_version != (None if found is None else str(found.version)):
            raise RuntimeError(f"another version stands there: {action}")
        if found is None:
            cluster = action.offering.cluster
            zone = None if action.offering.capacity is Capacity.ON_DEMAND else self._places.zone_of[cluster]
            found = Deployment(action.offering, zone, f"uid-{self.revision}", market.now)
            self._deployments[action.offering] = found
        return found

    def _scale(self, deployment: Deployment, replicas: int, market: Market) -> None:
        for pod in deployment.pods:
            self._pods.pop(pod.lease.id, None)
        deployment.scale(market, replicas)
        for pod in deployment.pods:
            self._watch(deployment, pod)
        self._changed(deployment)

    def _watch(self, deployment: Deployment, pod: Pod) -> None:
        self._pods[pod.lease.id] = deployment, pod

    def _changed(self, deployment: Deployment) -> None:
        self._stale.add(deployment.offering.cluster)
        self.revision += 1
