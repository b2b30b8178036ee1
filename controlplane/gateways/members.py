"""Member clusters: what a pass reads of one, with few calls, and what it writes there.

Two lists always (Deployments and Pods by our label), Nodes when a Pod has one, Events of the namespaces in which
something is missing, autoscalers where a Deployment says that it has one: a cluster in which all is well costs three
calls.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from controlplane.gateways.errors import GatewayError, Gone, ListExpired, ListIncomplete
from controlplane.gateways.jobs import jobs_by_batch, waits
from controlplane.gateways.kubeapi import Endpoint, KubernetesApi
from controlplane.gateways.resources import (
    AUTOSCALERS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    NODES,
    PODS,
    Resource,
    resource_of,
)
from controlplane.gateways.retrying import Retrying, guarded
from controlplane.gateways.workloads import RawMember, any_autoscaled, left_out, needs_events, workloads_by_service
from controlplane.model import naming
from controlplane.model.batch import JobFact
from controlplane.model.observation import WorkloadFact
from controlplane.model.offering import ClusterRef

OURS = f"{naming.LABEL_MANAGED_BY}={naming.FIELD_MANAGER}"
OF_SERVICES = f"{OURS},{naming.LABEL_SERVICE}"
OF_BATCHES = f"{OURS},{naming.LABEL_BATCH}"


class KindLike(Protocol):
    """A kind as the ingress wiring names it."""

    @property
    def group(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def plural(self) -> str: ...


class MemberCluster:
    """One member cluster."""

    def __init__(self, ref: ClusterRef, api: KubernetesApi) -> None:
        self.ref = ref
        self._api = api

    @property
    def calls(self) -> int:
        """How many requests went to this cluster so far."""
        return self._api.counter.total

    @property
    def recorded(self) -> Mapping[tuple[str, str], int]:
        """The requests so far by verb and resource."""
        return dict(self._api.counter.calls)

    def workloads(self) -> dict[tuple[str, str], tuple[WorkloadFact, ...]]:
        """Observe our Deployments, by (namespace, service)."""
        deployments = self._api.list(DEPLOYMENTS, labels=OF_SERVICES)
        pods = self._api.list(PODS, labels=OF_SERVICES)
        missing = guarded(lambda: left_out(deployments, pods), write=False)
        if missing:
            raise ListIncomplete(missing)
        placed = any(pod.get("spec", {}).get("nodeName") for pod in pods)
        nodes = self._api.list(NODES, labels=naming.NODE_ACCELERATOR) if placed else []
        events: list[dict[str, Any]] = []
        for namespace in sorted(needs_events(deployments, pods)):
            events += self._events(namespace)
        scaled = guarded(lambda: any_autoscaled(deployments), write=False)
        autoscalers = self._api.list(AUTOSCALERS, labels=OF_SERVICES) if scaled else []
        raw = RawMember(deployments, pods, events, nodes, autoscalers)
        # Objects of a shape that nobody expects make this cluster Unknown; they do not end the pass.
        return guarded(lambda: workloads_by_service(self.ref, raw), write=False)

    def jobs(self) -> dict[tuple[str, str], tuple[JobFact, ...]]:
        """Observe our Jobs, by (namespace, batch)."""
        jobs = self._api.list(JOBS, labels=OF_BATCHES)
        pods = self._api.list(PODS, labels=OF_BATCHES) if jobs else []
        placed = any(pod.get("spec", {}).get("nodeName") for pod in pods)
        nodes = self._api.list(NODES, labels=naming.NODE_ACCELERATOR) if placed else []
        events: list[dict[str, Any]] = []
        for namespace in sorted(guarded(lambda: waits(jobs, pods), write=False)):
            events += self._events(namespace)
        return guarded(lambda: jobs_by_batch(self.ref, jobs, RawMember((), pods, events, nodes)), write=False)

    def _events(self, namespace: str) -> list[dict[str, Any]]:
        """List Events, or none while they cannot be had: they only say why something is missing, not what stands there.

        A cluster whose Pods were listed is not dark for that; what waits in it meets its deadline instead.
        """
        try:
            return self._api.list(EVENTS, namespace=namespace)
        except GatewayError as error:
            structlog.get_logger("member").warning("no Events", cluster=self.ref.link, detail=error.message)
            return []

    def list_kind(self, kind: KindLike) -> list[dict[str, Any]]:
        """List the objects of an ingress kind in all namespaces; a kind that is not installed has none."""
        return list_installed(self._api, kind)

    def get(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        """Read the object that a manifest names; None when it is not there."""
        metadata = manifest["metadata"]
        return self._api.get(resource_of(manifest), metadata["name"], namespace=metadata.get("namespace"))

    def apply(self, manifest: Mapping[str, Any], *, resource_version: str | None = None) -> dict[str, Any]:
        """Server-side apply; with a resource version, only onto that very state."""
        return self._api.apply(manifest, resource_version=resource_version)

    def ensure(self, manifest: Mapping[str, Any]) -> None:
        """Create what the whole cluster shares (a namespace, a priority) if it is not there; what is stays as it is."""
        if self.get(manifest) is None:
            self._api.create(resource_of(manifest), manifest)

    def scale_down(self, namespace: str, name: str, replicas: int, *, resource_version: str, fence: int) -> None:
        """Set a Deployment's replicas ourselves, only if it is still the one that was seen."""
        annotations = {naming.ANNOTATION_FENCE: str(fence), naming.ANNOTATION_AUTOSCALED: None}
        body = {
            "metadata": {"resourceVersion": resource_version, "annotations": annotations},
            "spec": {"replicas": replicas},
        }
        self._api.merge(DEPLOYMENTS, name, body, namespace=namespace)

    def hand_over(self, namespace: str, name: str, replicas: int, *, resource_version: str) -> str:
        """Hold a Deployment's replicas, as they were seen, under a manager of their own; give the version it has then.

        A field that its only owner leaves out of an apply falls to its default, which is one replica here. With a
        second owner it stays until an autoscaler changes it:
        https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
        """
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": replicas},
        }
        held = self._api.apply(body, resource_version=resource_version, manager=naming.HANDOVER_MANAGER)
        return guarded(lambda: str(held["metadata"]["resourceVersion"]), write=True)

    def delete_deployment(self, namespace: str, name: str, *, uid: str, resource_version: str) -> None:
        """Delete a Deployment with its Pods, only if it is still the one that was seen."""
        self._api.delete(
            DEPLOYMENTS, name, namespace=namespace, uid=uid, resource_version=resource_version, with_dependents=True
        )

    def scale_job(self, namespace: str, name: str, workers: int, *, resource_version: str, fence: int) -> None:
        """Set how many Pods of a Job run at once, only if it is still the one that was seen."""
        metadata = {"resourceVersion": resource_version, "annotations": {naming.ANNOTATION_FENCE: str(fence)}}
        self._api.merge(JOBS, name, {"metadata": metadata, "spec": {"parallelism": workers}}, namespace=namespace)

    def delete_job(self, namespace: str, name: str, *, uid: str) -> None:
        """Delete a Job with its Pods, only if it is still the one that was seen."""
        self._api.delete(JOBS, name, namespace=namespace, uid=uid, with_dependents=True)

    def delete_owned(self, manifest: Mapping[str, Any]) -> bool:
        """Delete the object that a manifest names if it carries our labels; say whether it was ours or is gone (S7)."""
        found = self.get(manifest)
        return found is None or delete_if_ours(self._api, resource_of(manifest), found, manifest)


class Members:
    """Opens member clusters and keeps their connections over the passes of one process."""

    def __init__(
        self,
        token: Callable[[], str],
        *,
        retrying: Retrying,
        timeouts: tuple[float, float],
        refused: Callable[[str], bool] = lambda _token: False,
    ) -> None:
        self._token, self._retrying, self._timeouts, self._refused = token, retrying, timeouts, refused
        self._open: dict[ClusterRef, tuple[Endpoint, MemberCluster]] = {}
        self._lock = threading.Lock()

    def member(self, ref: ClusterRef, endpoint: Endpoint) -> MemberCluster:
        """Give a cluster; a new endpoint or certificate authority gets a new connection."""
        with self._lock:
            known = self._open.get(ref)
            if known is None or known[0] != endpoint:
                api = KubernetesApi(
                    endpoint, self._token, retrying=self._retrying, timeouts=self._timeouts, refused=self._refused
                )
                known = (endpoint, MemberCluster(ref, api))
                self._open[ref] = known
            return known[1]


def list_installed(api: KubernetesApi, kind: KindLike) -> list[dict[str, Any]]:
    """List the objects of a kind in all namespaces; a kind that is not installed has none."""
    try:
        return api.list(Resource(kind.group, kind.version, kind.plural))
    except ListExpired:
        raise
    except Gone:
        return []


def delete_if_ours(api: KubernetesApi, resource: Resource, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Delete an object under its uid if it carries the labels that we would give it; else leave it and say False."""
    if not naming.is_ours(found, wanted["metadata"]["labels"][naming.LABEL_SERVICE]):
        return False
    metadata = found["metadata"]
    if "deletionTimestamp" not in metadata:
        try:
            api.delete(resource, metadata["name"], namespace=metadata.get("namespace"), uid=metadata["uid"])
        except Gone:
            return True
    return True
