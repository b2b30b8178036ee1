"""Multi Cluster Ingress: MultiClusterIngress, MultiClusterService and BackendConfig in the config cluster.

`spec.clusters` is an atomic list whose absence means every member and whose empty form is not documented: it is always
written whole and never empty. Names never begin with `mci-`, which the product keeps for what it makes itself.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from importlib import resources
from typing import Any

import yaml

from controlplane.model import naming
from controlplane.model.service import ServiceSpec
from controlplane.model.template import ingress_spec_hash
from ingress.wiring import Kind, WiringState

MULTI_CLUSTER_INGRESS = Kind("networking.gke.io", "v1", "multiclusteringresses", "MultiClusterIngress")
MULTI_CLUSTER_SERVICE = Kind("networking.gke.io", "v1", "multiclusterservices", "MultiClusterService")
BACKEND_CONFIG = Kind("cloud.google.com", "v1", "backendconfigs", "BackendConfig")

SERVICE_PORT = 80
_STATIC_IP = "networking.gke.io/static-ip"
_BACKEND_CONFIG = "cloud.google.com/backend-config"


@cache
def _parsed(name: str) -> dict[str, Any]:
    text = resources.files("ingress").joinpath("manifests", f"{name}.yaml").read_text("utf-8")
    value: dict[str, Any] = yaml.safe_load(text)
    return value


class MultiClusterIngressWiring:
    """Wires a service with Multi Cluster Ingress."""

    def observed_kinds(self) -> Sequence[Kind]:
        """Give the two kinds whose state counts; BackendConfig follows from the hash on the MultiClusterService."""
        return (MULTI_CLUSTER_INGRESS, MULTI_CLUSTER_SERVICE)

    def listing_kind(self) -> Kind:
        """Give MultiClusterService, which holds the list."""
        return MULTI_CLUSTER_SERVICE

    def backend_services(self, objects: Mapping[Kind, Sequence[Mapping[str, Any]]]) -> list[str]:
        """Give those that the MultiClusterIngresses with our label name in their status."""
        ours = [
            found
            for found in objects.get(MULTI_CLUSTER_INGRESS, ())
            if _mapping(_mapping(found, "metadata"), "labels").get(naming.LABEL_MANAGED_BY) == naming.FIELD_MANAGER
        ]
        return sorted({name for found in ours for name in _made(found)})

    def manifests(self, spec: ServiceSpec, clusters: Sequence[str], *, fence: int) -> list[dict[str, Any]]:
        """Render the BackendConfig first, since the others refer to it, and the address last."""
        if not clusters:
            raise ValueError("refusing to wire no cluster at all: an empty list is not documented and may mean all")
        annotations = {
            naming.ANNOTATION_SPEC_HASH: ingress_spec_hash(spec),
            naming.ANNOTATION_FENCE: str(fence),
            naming.ANNOTATION_OWNER_UID: spec.uid,
        }
        return [_backend_config(spec), _service(spec, clusters, annotations), _ingress(spec, annotations)]

    def release_order(self, spec: ServiceSpec) -> list[tuple[Kind, str]]:
        """Take the address down first, then what it refers to."""
        return [(kind, spec.name) for kind in (MULTI_CLUSTER_INGRESS, MULTI_CLUSTER_SERVICE, BACKEND_CONFIG)]

    def state(self, spec: ServiceSpec, objects: Mapping[Kind, Sequence[Mapping[str, Any]]]) -> WiringState:
        """Read clusters, address and backend services; the hash counts only when both objects carry it."""
        service = _named(spec, objects.get(MULTI_CLUSTER_SERVICE, ()))
        ingress = _named(spec, objects.get(MULTI_CLUSTER_INGRESS, ()))
        hashes = {_annotation(found, naming.ANNOTATION_SPEC_HASH) for found in (service, ingress)}
        status = _mapping(ingress or {}, "status")
        address = status.get("VIP") or status.get("vip")
        return WiringState(
            clusters=None if service is None else _links(service),
            address=str(address) if address else None,
            backend_services=_made(ingress or {}),
            spec_hash=hashes.pop() if len(hashes) == 1 else "",
            resource_version=str(_mapping(service or {}, "metadata").get("resourceVersion", "")),
            foreign=tuple(
                f"{kind}/{spec.name}"
                for kind, found in (("MultiClusterService", service), ("MultiClusterIngress", ingress))
                if found is not None and not naming.is_ours(found, spec.name)
            ),
        )


def _backend_config(spec: ServiceSpec) -> dict[str, Any]:
    manifest = deepcopy(_parsed("backendconfig")) | {"metadata": _metadata(spec)}
    body, wanted = manifest["spec"], spec.ingress
    body["timeoutSec"] = wanted.timeout_seconds
    body["connectionDraining"]["drainingTimeoutSec"] = wanted.draining_seconds
    check = body["healthCheck"]
    check |= {
        "requestPath": wanted.health_path,
        "port": spec.pod.port,
        "checkIntervalSec": wanted.check_interval_seconds,
    }
    # Google Cloud refuses a time-out longer than the interval.
    check["timeoutSec"] = min(check["timeoutSec"], wanted.check_interval_seconds)
    return manifest


def _service(spec: ServiceSpec, clusters: Sequence[str], annotations: Mapping[str, str]) -> dict[str, Any]:
    refers = {_BACKEND_CONFIG: json.dumps({"default": spec.name})}
    manifest = deepcopy(_parsed("multiclusterservice")) | {"metadata": _metadata(spec, {**refers, **annotations})}
    template = manifest["spec"]["template"]["spec"]
    template["selector"] = {naming.LABEL_APP: spec.name, naming.LABEL_SERVICE: spec.name}
    template["ports"][0] |= {"port": SERVICE_PORT, "targetPort": spec.pod.port}
    manifest["spec"]["clusters"] = [{"link": link} for link in sorted(set(clusters))]
    return manifest


def _ingress(spec: ServiceSpec, annotations: Mapping[str, str]) -> dict[str, Any]:
    address = {_STATIC_IP: spec.ingress.static_address} if spec.ingress.static_address else {}
    manifest = deepcopy(_parsed("multiclusteringress")) | {"metadata": _metadata(spec, {**address, **annotations})}
    body, backend = manifest["spec"]["template"]["spec"], {"serviceName": spec.name, "servicePort": SERVICE_PORT}
    body["backend"] = dict(backend)
    if spec.ingress.host:
        body["rules"] = [{"host": spec.ingress.host, "http": {"paths": [{"path": "/", "backend": dict(backend)}]}}]
    return manifest


def _metadata(spec: ServiceSpec, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": spec.name,
        "namespace": spec.namespace,
        "labels": naming.service_labels(spec.name),
    }
    return metadata | ({"annotations": dict(annotations)} if annotations is not None else {})


def _named(spec: ServiceSpec, found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    for candidate in found:
        metadata = _mapping(candidate, "metadata")
        if metadata.get("name") == spec.name and metadata.get("namespace") == spec.namespace:
            return candidate
    return None


def _links(service: Mapping[str, Any]) -> tuple[str, ...]:
    listed = _mapping(service, "spec").get("clusters")
    if not isinstance(listed, (list, tuple)):
        return ()
    return tuple(sorted(str(entry["link"]) for entry in listed if isinstance(entry, Mapping) and "link" in entry))


def _made(ingress: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the backend services; the field is written with a capital today and may follow the convention one day."""
    status = _mapping(ingress, "status")
    resources_made = _mapping(status, "CloudResources") or _mapping(status, "cloudResources")
    made = resources_made.get("BackendServices") or resources_made.get("backendServices") or ()
    return tuple(str(name) for name in made if name) if isinstance(made, (list, tuple)) else ()


def _annotation(found: Mapping[str, Any] | None, key: str) -> str:
    return str(_mapping(_mapping(found or {}, "metadata"), "annotations").get(key, ""))


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}
