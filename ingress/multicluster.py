"""Multi Cluster Ingress: MultiClusterIngress, MultiClusterService, BackendConfig, FrontendConfig in the config cluster.

`spec.clusters` is an atomic list whose absence means every member and whose empty form is not documented: it is always
written whole and never empty. Names never begin with `mci-`, which the product keeps for what it makes itself.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.model import naming
from controlplane.model.service import Https, IngressKind, ServiceSpec
from controlplane.model.template import ingress_spec_hash
from ingress.reading import annotation, bookkeeping, going, load, managed, mapping, metadata, named
from ingress.wiring import Kind, MemberObjects, Objects, WiringState

MULTI_CLUSTER_INGRESS = Kind("networking.gke.io", "v1", "multiclusteringresses", "MultiClusterIngress")
MULTI_CLUSTER_SERVICE = Kind("networking.gke.io", "v1", "multiclusterservices", "MultiClusterService")
FRONTEND_CONFIG = Kind("networking.gke.io", "v1beta1", "frontendconfigs", "FrontendConfig")
BACKEND_CONFIG = Kind("cloud.google.com", "v1", "backendconfigs", "BackendConfig")

SERVICE_PORT = 80
_STATIC_IP = "networking.gke.io/static-ip"
_CERTIFICATES = "networking.gke.io/pre-shared-certs"
_FRONTEND_CONFIG = "networking.gke.io/frontend-config"
_BACKEND_CONFIG = "cloud.google.com/backend-config"


class MultiClusterIngressWiring:
    """Wires a service with Multi Cluster Ingress."""

    def observed_kinds(self) -> Sequence[Kind]:
        """Give the two kinds whose state counts; BackendConfig follows from the hash on the MultiClusterService."""
        return (MULTI_CLUSTER_INGRESS, MULTI_CLUSTER_SERVICE)

    def listing_kind(self) -> Kind:
        """Give MultiClusterService, which holds the list."""
        return MULTI_CLUSTER_SERVICE

    def member_kind(self) -> Kind | None:
        """Give None: members hold nothing of it but what the product makes there."""
        return None

    def backend_services(self, objects: Objects) -> list[str]:
        """Give those that the MultiClusterIngresses with our label name in their status."""
        ours = managed(objects.get(MULTI_CLUSTER_INGRESS, ()))
        return sorted({name for found in ours for name in _made(found)})

    def manifests(self, spec: ServiceSpec, clusters: Sequence[str], *, fence: int) -> list[dict[str, Any]]:
        """Render both configurations first, since the others refer to them, and the address last."""
        if not clusters:
            raise ValueError("refusing to wire no cluster at all: an empty list is not documented and may mean all")
        annotations = bookkeeping(spec, ingress_spec_hash(spec, IngressKind.MULTI_CLUSTER_INGRESS), fence)
        frontend = [_frontend_config(spec)] if spec.ingress.https else []
        return [_backend_config(spec), *frontend, _service(spec, clusters, annotations), _ingress(spec, annotations)]

    def obsolete(self, _spec: ServiceSpec) -> list[tuple[Kind, str]]:
        """Give none: a FrontendConfig that nothing refers to does nothing, and goes with the service."""
        return []

    def member_manifest(self, _spec: ServiceSpec) -> dict[str, Any] | None:
        """Give None: the list alone wires a member."""
        return None

    def release_order(self, spec: ServiceSpec) -> list[tuple[Kind, str]]:
        """Take the address down first; what holds the list goes last, so that a start made is seen to its end."""
        kinds = (MULTI_CLUSTER_INGRESS, FRONTEND_CONFIG, BACKEND_CONFIG, MULTI_CLUSTER_SERVICE)
        return [(kind, spec.name) for kind in kinds]

    def state(self, spec: ServiceSpec, objects: Objects, members: MemberObjects | None = None) -> WiringState:  # noqa: ARG002 - the Protocol's
        """Read clusters, address and backend services; the hash counts only when both objects carry it."""
        service = named(spec, objects.get(MULTI_CLUSTER_SERVICE, ()))
        ingress = named(spec, objects.get(MULTI_CLUSTER_INGRESS, ()))
        hashes = {annotation(found, naming.ANNOTATION_SPEC_HASH) for found in (service, ingress)}
        status = mapping(ingress or {}, "status")
        address = status.get("VIP") or status.get("vip")
        there = [
            (kind, found)
            for kind, found in (("MultiClusterService", service), ("MultiClusterIngress", ingress))
            if found is not None
        ]
        return WiringState(
            clusters=None if service is None else _links(service),
            address=str(address) if address else None,
            backend_services=_made(ingress or {}),
            spec_hash=hashes.pop() if len(hashes) == 1 else "",
            resource_version=str(mapping(service or {}, "metadata").get("resourceVersion", "")),
            foreign=tuple(f"{kind}/{spec.name}" for kind, found in there if not naming.is_ours(found, spec.name)),
            present=any(naming.is_ours(found, spec.name) for _, found in there),
            going=any(going(found) for _, found in there),
        )


def _backend_config(spec: ServiceSpec) -> dict[str, Any]:
    manifest = load("backendconfig") | {"metadata": metadata(spec)}
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
    body["securityPolicy"]["name"] = wanted.security_policy or ""
    if wanted.iap is not None:
        body["iap"] = {"enabled": True, "oauthclientCredentials": {"secretName": wanted.iap.oauth_secret}}
    return manifest


def _frontend_config(spec: ServiceSpec) -> dict[str, Any]:
    manifest, https = load("frontendconfig") | {"metadata": metadata(spec)}, spec.ingress.https or Https()
    manifest["spec"]["sslPolicy"] = https.ssl_policy or ""
    manifest["spec"]["redirectToHttps"]["enabled"] = https.redirect
    return manifest


def _service(spec: ServiceSpec, clusters: Sequence[str], annotations: Mapping[str, str]) -> dict[str, Any]:
    refers = {_BACKEND_CONFIG: json.dumps({"default": spec.name})}
    manifest = load("multiclusterservice") | {"metadata": metadata(spec, {**refers, **annotations})}
    template = manifest["spec"]["template"]["spec"]
    template["selector"] = {naming.LABEL_APP: spec.name, naming.LABEL_SERVICE: spec.name}
    template["ports"][0] |= {"port": SERVICE_PORT, "targetPort": spec.pod.port}
    manifest["spec"]["clusters"] = [{"link": link} for link in sorted(set(clusters))]
    return manifest


def _ingress(spec: ServiceSpec, annotations: Mapping[str, str]) -> dict[str, Any]:
    address = {_STATIC_IP: spec.ingress.static_address} if spec.ingress.static_address else {}
    https = spec.ingress.https
    secure = {_CERTIFICATES: ",".join(https.certificates), _FRONTEND_CONFIG: spec.name} if https else {}
    manifest = load("multiclusteringress") | {"metadata": metadata(spec, {**address, **secure, **annotations})}
    body, backend = manifest["spec"]["template"]["spec"], {"serviceName": spec.name, "servicePort": SERVICE_PORT}
    body["backend"] = dict(backend)
    if spec.ingress.host:
        body["rules"] = [{"host": spec.ingress.host, "http": {"paths": [{"path": "/", "backend": dict(backend)}]}}]
    return manifest


def _links(service: Mapping[str, Any]) -> tuple[str, ...]:
    listed = mapping(service, "spec").get("clusters")
    if not isinstance(listed, (list, tuple)):
        return ()
    return tuple(sorted(str(entry["link"]) for entry in listed if isinstance(entry, Mapping) and "link" in entry))


def _made(ingress: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the backend services; the field is written with a capital today and may follow the convention one day."""
    status = mapping(ingress, "status")
    resources_made = mapping(status, "CloudResources") or mapping(status, "cloudResources")
    made = resources_made.get("BackendServices") or resources_made.get("backendServices") or ()
    return tuple(str(name) for name in made if name) if isinstance(made, (list, tuple)) else ()
