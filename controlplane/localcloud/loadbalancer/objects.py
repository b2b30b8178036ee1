"""What the controller writes into the config cluster: finalizers, status, annotation and Events."""

import copy
from collections.abc import Container, Mapping, Sequence
from typing import Any

from controlplane.localcloud.apiserver.api import Api, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.loadbalancer.cloud_resources import ingress_status, service_status
from controlplane.localcloud.loadbalancer.members import MANAGER
from controlplane.localcloud.loadbalancer.resources import BackendServiceHealth
from controlplane.localcloud.loadbalancer.state import State
from controlplane.localcloud.loadbalancer.wanted import MULTI_CLUSTER_INGRESS, MULTI_CLUSTER_SERVICE, Key, Wanted

INGRESSES = "multiclusteringresses.networking.gke.io"
SERVICES = "multiclusterservices.networking.gke.io"
BACKEND_CONFIGS = "backendconfigs.cloud.google.com"
FRONTEND_CONFIGS = "frontendconfigs.networking.gke.io"
RECONCILED_ANNOTATION = "networking.gke.io/last-reconcile-time"
FINALIZERS = {INGRESSES: "mci.finalizer.networking.gke.io", SERVICES: "mcs.finalizer.networking.gke.io"}


class ConfigObjects:
    """Writes to the config cluster, each only when it changes something."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self.events = EventRecorder(api, clock, MANAGER)

    def hold(self, resource: str, body: Object) -> None:
        """Put our finalizer on an object, so that it is not gone before what was made of it is."""
        if FINALIZERS[resource] not in (body["metadata"].get("finalizers") or ()):
            self._set_finalizers(resource, body, [*(body["metadata"].get("finalizers") or ()), FINALIZERS[resource]])

    def release(self, resource: str, body: Object) -> None:
        """Take our finalizer off an object."""
        finalizers = body["metadata"].get("finalizers") or ()
        if FINALIZERS[resource] in finalizers:
            self._set_finalizers(resource, body, [each for each in finalizers if each != FINALIZERS[resource]])

    def report_all(
        self,
        state: State,
        described: Sequence[BackendServiceHealth],
        changed: Container[tuple[str, Key]],
        *,
        pending: Sequence[Wanted],
    ) -> None:
        """Bring the status of every object up to date, and let go of those that nothing needs any more."""
        needed = {
            service.key for wanted in pending for service in wanted.services if service.kind == MULTI_CLUSTER_SERVICE
        }
        for body in self._api.list(SERVICES):
            key = key_of(body)
            if "deletionTimestamp" in body["metadata"]:
                if key not in needed:
                    self.release(SERVICES, body)
            elif state.wanted.service(key) is not None:
                status = service_status(key, described)
                self.report(SERVICES, body, status, changed=(SERVICES, key) in changed)
        needed = {
            ingress.key for wanted in pending for ingress in wanted.ingresses if ingress.kind == MULTI_CLUSTER_INGRESS
        }
        for body in self._api.list(INGRESSES):
            key = key_of(body)
            if "deletionTimestamp" in body["metadata"]:
                if key not in needed:
                    self.release(INGRESSES, body)
            elif (ingress := state.wanted.ingress(key)) is not None:
                status = ingress_status(ingress, state.ports[ingress.ident], described)
                self.report(INGRESSES, body, status, changed=(INGRESSES, key) in changed)

    def report(self, resource: str, body: Object, status: Mapping[str, Any], *, changed: bool) -> None:
        """Write status, time and Event when the status differs or the object's meaning changed."""
        old = body.get("status") or {}
        metadata = body["metadata"]
        if old == status and not changed:
            return
        first = RECONCILED_ANNOTATION not in (metadata.get("annotations") or {})
        # Whole status, not a merge: a region that has left must not stay in it.
        replaced = copy.deepcopy(body)
        replaced["status"] = dict(status)
        live = self._api.update(resource, replaced, subresource="status") if old != status else body
        stamp = {"metadata": {"annotations": {RECONCILED_ANNOTATION: rfc3339(self._clock.now())}}}
        self._api.patch(resource, metadata["name"], stamp, metadata["namespace"])
        key = f"{metadata['namespace']}/{metadata['name']}"
        self.events.record(live, "Normal", "ADD" if first else "UPDATE", key)

    def _set_finalizers(self, resource: str, body: Object, finalizers: list[str]) -> None:
        metadata = body["metadata"]
        patch = {"metadata": {"finalizers": finalizers, "resourceVersion": metadata["resourceVersion"]}}
        self._api.patch(resource, metadata["name"], patch, metadata["namespace"])


def key_of(body: Object) -> Key:
    """Give an object's namespace and name."""
    return body["metadata"]["namespace"], body["metadata"]["name"]
