"""The config cluster: GPUServices and their status, the Lease, Events, and the objects that wire the address."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.gateways.errors import AlreadyExists, ConfigurationProblem, Gone, ListExpired
from controlplane.gateways.kubeapi import KubernetesApi
from controlplane.gateways.members import KindLike, delete_if_ours, list_installed
from controlplane.gateways.resources import (
    EVENTS,
    FLEETS,
    GPU_BATCHES,
    GPU_SERVICES,
    LEASES,
    NAMESPACES,
    Resource,
    resource_of,
)
from controlplane.model.fleet import FLEET_NAME

Json = dict[str, Any]
NOT_INSTALLED = (
    "the config cluster has no GPUService custom resource definition;"
    " `gpuhunter apply -f` of the first GPUService installs it"
)


class ConfigCluster:
    """Reads and writes of the config cluster."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    @property
    def calls(self) -> int:
        """How many requests went there so far."""
        return self._api.counter.total

    @property
    def recorded(self) -> Mapping[tuple[str, str], int]:
        """The requests so far by verb and resource."""
        return dict(self._api.counter.calls)

    def services(self) -> list[Json]:
        """List all GPUServices, oldest first. Items of a list lack their kind, which is put back."""
        try:
            found = self._api.list(GPU_SERVICES)
        except ListExpired:
            raise
        except Gone as error:
            raise ConfigurationProblem(NOT_INSTALLED) from error
        whole = [{"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "GPUService", **item} for item in found]
        return sorted(whole, key=lambda item: (item["metadata"].get("creationTimestamp") or "", _name(item)))

    def fleet(self) -> Json | None:
        """Read the Fleet; None when there is none, or not even its definition."""
        found = self._api.get(FLEETS, FLEET_NAME)
        return None if found is None else {"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "Fleet", **found}

    def write_fleet_status(self, fleet: Mapping[str, Any], status: Mapping[str, Any]) -> Json:
        """Replace the Fleet's status, only if it is still the one that was read."""
        return self._api.replace(FLEETS, {**fleet, "status": dict(status)}, subresource="status")

    def batches(self) -> list[Json]:
        """List all GPUBatches, oldest first; none where the kind is not installed."""
        try:
            found = self._api.list(GPU_BATCHES)
        except ListExpired:
            raise
        except Gone:
            return []
        whole = [{"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "GPUBatch", **item} for item in found]
        return sorted(whole, key=lambda item: (item["metadata"].get("creationTimestamp") or "", _name(item)))

    def create_batch(self, batch: Mapping[str, Any]) -> Json:
        """Create a GPUBatch. Raises AlreadyExists for one of that name."""
        return self._api.create(GPU_BATCHES, batch)

    def write_status(self, item: Mapping[str, Any], status: Mapping[str, Any]) -> Json:
        """Replace the status, only if the GPUService or GPUBatch is still the one that was read."""
        return self._api.replace(resource_of(item), {**item, "status": dict(status)}, subresource="status")

    def set_finalizers(self, item: Mapping[str, Any], finalizers: Sequence[str]) -> Json:
        """Set the finalizers, only if the GPUService or GPUBatch is still the one that was read."""
        metadata = item["metadata"]
        body = {"metadata": {"finalizers": list(finalizers), "resourceVersion": metadata["resourceVersion"]}}
        return self._api.merge(resource_of(item), metadata["name"], body, namespace=metadata["namespace"])

    def emit(self, event: Mapping[str, Any]) -> None:
        """Write an Event; one of that name that is there already is the same Event."""
        try:
            self._api.create(EVENTS, event)
        except AlreadyExists:
            return

    def list_kind(self, kind: KindLike) -> list[Json]:
        """List the objects of an ingress kind in all namespaces; a kind that is not installed has none."""
        return list_installed(self._api, kind)

    def get(self, manifest: Mapping[str, Any]) -> Json | None:
        """Read the object that a manifest names; None when it is not there."""
        metadata = manifest["metadata"]
        return self._api.get(resource_of(manifest), metadata["name"], namespace=metadata.get("namespace"))

    def apply(self, manifest: Mapping[str, Any], *, resource_version: str | None = None) -> Json:
        """Server-side apply; with a resource version, only onto that very state."""
        return self._api.apply(manifest, resource_version=resource_version)

    def delete_owned(self, kind: KindLike, namespace: str, name: str, labels: Mapping[str, str]) -> bool:
        """Delete an ingress object if it carries our labels; say whether it was ours or is gone (S7)."""
        resource = Resource(kind.group, kind.version, kind.plural)
        found = self._api.get(resource, name, namespace=namespace)
        wanted = {"metadata": {"labels": dict(labels)}}
        return found is None or delete_if_ours(self._api, resource, found, wanted)

    def read_lease(self, namespace: str, name: str) -> Json | None:
        """Read the Lease; None when nobody ever held it."""
        return self._api.get(LEASES, name, namespace=namespace)

    def create_lease(self, lease: Mapping[str, Any]) -> Json:
        """Create the Lease, with its namespace when that is missing. Raises AlreadyExists when another was faster."""
        try:
            return self._api.create(LEASES, lease)
        except Gone:
            self._ensure_namespace(lease["metadata"]["namespace"])
            return self._api.create(LEASES, lease)

    def replace_lease(self, lease: Mapping[str, Any]) -> Json:
        """Replace the Lease under its resourceVersion. Raises Conflict when another was faster."""
        return self._api.replace(LEASES, lease)

    def _ensure_namespace(self, name: str) -> None:
        try:
            self._api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        except AlreadyExists:
            return


def _name(item: Mapping[str, Any]) -> str:
    return f"{item['metadata'].get('namespace')}/{item['metadata'].get('name')}"
