"""Keeps the Endpoints and the EndpointSlices of every Service that selects Pods.

A Service without selector is left alone: its endpoints are its user's. Slices are kept where they are as far as
possible, so that a watcher sees small changes.
"""

from collections.abc import Iterable, Sequence

from controlplane.localcloud.apiserver.api import ApiError, Change, Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers import endpoints
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.objects import (
    clone,
    controller_reference,
    is_deleting,
    key_of,
    labels_of,
    own_key,
    uid_of,
)
from controlplane.localcloud.controllers.runtime import Controller, Key

SERVICES = "services"
ENDPOINTS = "endpoints"
SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
SLICE_MANAGER = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
ENDPOINTS_MANAGER = {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}
PER_SLICE = 100


class EndpointsController:
    """Reconciles Services into endpoints."""

    def __init__(self, informer: Informer, clock: Clock) -> None:
        self._informer = informer
        self._api = informer.api
        # The Services a Pod was last seen behind: when its labels change it must leave those as well.
        self._behind: dict[str, frozenset[Key]] = {}
        self.loop = Controller(
            "endpoints",
            informer,
            clock,
            sources={SERVICES: own_key, ENDPOINTS: own_key, SLICES: self._keys_of_slice, "pods": self._keys_of_pod},
            reconcile=self.reconcile,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    def _keys_of_slice(self, change: Change) -> Iterable[Key]:
        name = labels_of(change.object).get(SERVICE_NAME)
        return [(change.object["metadata"]["namespace"], name)] if name else []

    def _keys_of_pod(self, change: Change) -> Iterable[Key]:
        pod = change.object
        labels = labels_of(pod)
        now = frozenset(
            key_of(service)
            for service in self._informer.in_namespace(pod["metadata"]["namespace"], SERVICES)
            if (selector := service["spec"].get("selector")) and selector.items() <= labels.items()
        )
        before = self._behind.pop(uid_of(pod), frozenset())
        if change.type != "DELETED":
            self._behind[uid_of(pod)] = now
        return now | before

    async def reconcile(self, key: Key) -> None:
        """Bring the Endpoints and the slices of one Service up to date."""
        namespace, name = key
        service = self._api.find(SERVICES, name, namespace)
        if service is None or is_deleting(service):
            self._remove_endpoints(namespace, name)
            return
        selector = service["spec"].get("selector")
        if not selector or service["spec"].get("type") == "ExternalName":
            return
        pods = self._informer.select("pods", namespace, {"matchLabels": selector})
        found = endpoints.backends(service, pods)
        self._write_endpoints(service, found)
        self._write_slices(service, found)

    def _remove_endpoints(self, namespace: str, name: str) -> None:
        present = self._api.find(ENDPOINTS, name, namespace)
        if present is not None and ENDPOINTS_MANAGER.items() <= labels_of(present).items():
            self._delete(ENDPOINTS, present)

    def _write_endpoints(self, service: Object, found: Sequence[endpoints.Backend]) -> None:
        namespace, name = key_of(service)
        publish = bool(service["spec"].get("publishNotReadyAddresses"))
        subsets = endpoints.subsets(found, publish=publish)
        labels = {**labels_of(service), **ENDPOINTS_MANAGER, **_headless(service)}
        present = self._api.find(ENDPOINTS, name, namespace)
        if present is None:
            meta = {"name": name, "namespace": namespace, "labels": labels}
            body: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta}
            self._api.create(ENDPOINTS, {**body, **({"subsets": subsets} if subsets else {})}, namespace)
        elif (present.get("subsets") or []) != subsets or labels_of(present) != labels:
            body = clone(present)
            body["metadata"]["labels"] = labels
            body.pop("subsets", None)
            if subsets:
                body["subsets"] = subsets
            self._api.update(ENDPOINTS, body)

    def _write_slices(self, service: Object, found: Sequence[endpoints.Backend]) -> None:
        namespace, name = key_of(service)
        wanted = {SERVICE_NAME: name, **SLICE_MANAGER}
        present = sorted(self._informer.select(SLICES, namespace, {"matchLabels": wanted}), key=key_of)
        spare = [found_slice for found_slice in present if not is_deleting(found_slice)]
        groups = endpoints.group_by_ports(found) or {(): []}
        pending: list[tuple[list[Object], list[Object]]] = []
        for ports, members in sorted(groups.items(), key=lambda item: repr(item[0])):
            listed = endpoints.port_objects(ports)
            whole = [endpoints.endpoint(member, self._zone(member.pod)) for member in members]
            starts = range(0, max(len(whole), 1), PER_SLICE)
            pending.extend((listed, whole[start : start + PER_SLICE]) for start in starts)
        for listed, members_now in pending:
            same = next((s for s in spare if (s.get("ports") or []) == listed), spare[0] if spare else None)
            if same is None:
                self._create_slice(service, listed, members_now)
            else:
                spare.remove(same)
                self._update_slice(service, same, listed, members_now)
        for left_over in spare:
            self._delete(SLICES, left_over)

    def _create_slice(self, service: Object, ports: list[Object], members: list[Object]) -> None:
        namespace, name = key_of(service)
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{name}-",
                "namespace": namespace,
                "labels": _slice_labels(service),
                "ownerReferences": [controller_reference(service)],
            },
            "addressType": "IPv4",
            "endpoints": members,
            "ports": ports,
        }
        self._informer.create(SLICES, body, namespace)

    def _update_slice(self, service: Object, present: Object, ports: list[Object], members: list[Object]) -> None:
        labels = _slice_labels(service)
        same = (present.get("ports") or []) == ports and (present.get("endpoints") or []) == members
        if same and labels_of(present) == labels:
            return
        body = clone(present)
        body.update(ports=ports, endpoints=members)
        body["metadata"]["labels"] = labels
        self._api.update(SLICES, body)

    def _delete(self, resource: str, obj: Object) -> None:
        namespace, name = key_of(obj)
        try:
            self._api.delete(resource, name, namespace, uid=uid_of(obj))
        except ApiError as error:
            if error.code != 404:
                raise

    def _zone(self, pod: Object) -> str:
        node = self._api.find("nodes", pod["spec"]["nodeName"]) if pod["spec"].get("nodeName") else None
        return labels_of(node).get("topology.kubernetes.io/zone", "") if node else ""


def _slice_labels(service: Object) -> dict[str, str]:
    return {**labels_of(service), SERVICE_NAME: service["metadata"]["name"], **SLICE_MANAGER, **_headless(service)}


def _headless(service: Object) -> dict[str, str]:
    return {HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
