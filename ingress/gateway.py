"""Multi-cluster Gateway: Gateway, HTTPRoute and two policies in the config cluster, a ServiceExport in each member.

There is no list that could be written whole: a cluster is behind the address while its ServiceExport is there, and the
product makes the ServiceImport that the route leads to. So the HTTPRoute carries the list that was decided on as an
annotation. A member that can be seen is judged by what it holds; one that cannot, by the record. The record is written
after what adds and before what takes away, under the version that was decided on, so that one decision stands behind
every removal.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.model import naming
from controlplane.model.service import IngressKind, ServiceSpec
from controlplane.model.template import ingress_spec_hash
from ingress.reading import annotation, bookkeeping, going, load, managed, mapping, metadata, named
from ingress.wiring import Kind, MemberObjects, Objects, WiringState

GATEWAY = Kind("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
BACKEND_POLICY = Kind("networking.gke.io", "v1", "gcpbackendpolicies", "GCPBackendPolicy")
GATEWAY_POLICY = Kind("networking.gke.io", "v1", "gcpgatewaypolicies", "GCPGatewayPolicy")
HEALTH_CHECK_POLICY = Kind("networking.gke.io", "v1", "healthcheckpolicies", "HealthCheckPolicy")
SERVICE_EXPORT = Kind("net.gke.io", "v1", "serviceexports", "ServiceExport")

RECORD = f"{naming.GROUP}/clusters"
SERVICE_PORT = 80
_BACKEND_SERVICES = "networking.gke.io/backend-services"
_CERTIFICATES = "networking.gke.io/pre-shared-certs"
_CERTIFICATE_MAP = "networking.gke.io/certmap"
_HTTP, _HTTPS = "http", "https"


class MultiClusterGatewayWiring:
    """Wires a service with a multi-cluster Gateway."""

    def observed_kinds(self) -> Sequence[Kind]:
        """Give the two kinds whose state counts; the policies follow from the hash on the HTTPRoute."""
        return (GATEWAY, HTTP_ROUTE)

    def listing_kind(self) -> Kind:
        """Give HTTPRoute, which holds the record."""
        return HTTP_ROUTE

    def member_kind(self) -> Kind | None:
        """Give ServiceExport."""
        return SERVICE_EXPORT

    def backend_services(self, objects: Objects) -> list[str]:
        """Give those that the Gateways with our label name in their annotation."""
        return sorted({name for found in managed(objects.get(GATEWAY, ())) for name in _made(found)})

    def manifests(self, spec: ServiceSpec, clusters: Sequence[str], *, fence: int) -> list[dict[str, Any]]:
        """Render the policies first, so that nothing is served without them, and the record last."""
        if not clusters:
            raise ValueError("refusing to wire no cluster at all: the service would be gone from its address")
        annotations = bookkeeping(spec, ingress_spec_hash(spec, IngressKind.MULTI_CLUSTER_GATEWAY), fence)
        record = {RECORD: ",".join(sorted(set(clusters)))}
        https = spec.ingress.https
        return [
            _health_check(spec),
            _backend_policy(spec),
            *([_gateway_policy(spec, https.ssl_policy)] if https and https.ssl_policy else []),
            _gateway(spec, annotations),
            *([_redirect(spec)] if https and https.redirect else []),
            _route(spec, {**record, **annotations}),
        ]

    def obsolete(self, spec: ServiceSpec) -> list[tuple[Kind, str]]:
        """Give the redirect, which would keep HTTP from the app, and the policy where they are not asked for."""
        https = spec.ingress.https
        return [
            *([] if https and https.redirect else [(HTTP_ROUTE, redirect_name(spec))]),
            *([] if https and https.ssl_policy else [(GATEWAY_POLICY, spec.name)]),
        ]

    def member_manifest(self, spec: ServiceSpec) -> dict[str, Any] | None:
        """Render the ServiceExport, which has the name of the Service that it exports."""
        return load("serviceexport") | {"metadata": metadata(spec)}

    def release_order(self, spec: ServiceSpec) -> list[tuple[Kind, str]]:
        """Take the address down first; what holds the record goes last, so that a start made is seen to its end."""
        kinds = (GATEWAY, GATEWAY_POLICY, BACKEND_POLICY, HEALTH_CHECK_POLICY)
        return [*((kind, spec.name) for kind in kinds), (HTTP_ROUTE, redirect_name(spec)), (HTTP_ROUTE, spec.name)]

    def state(self, spec: ServiceSpec, objects: Objects, members: MemberObjects | None = None) -> WiringState:
        """Read clusters, address and backend services; the hash counts only where objects and record agree."""
        gateway, route = (named(spec, objects.get(kind, ())) for kind in (GATEWAY, HTTP_ROUTE))
        there = [(kind, found) for kind, found in ((GATEWAY, gateway), (HTTP_ROUTE, route)) if found is not None]
        record = frozenset(link for link in annotation(route, RECORD).split(",") if link)
        seen = {link: named(spec, found) for link, found in (members or {}).items() if found is not None}
        exported = frozenset(link for link, export in seen.items() if export is not None and not going(export))
        hashes = {annotation(found, naming.ANNOTATION_SPEC_HASH) for found in (gateway, route)}
        agreed = len(hashes) == 1 and record & seen.keys() == exported
        return WiringState(
            clusters=tuple(sorted((record - seen.keys()) | exported)) if there else None,
            address=_address(gateway or {}),
            backend_services=_made(gateway or {}),
            spec_hash=hashes.pop() if agreed else "",
            resource_version=str(mapping(route or {}, "metadata").get("resourceVersion", "")),
            foreign=(
                *(f"{kind.name}/{spec.name}" for kind, found in there if not naming.is_ours(found, spec.name)),
                *(
                    f"ServiceExport/{spec.name} in {link}"
                    for link, export in sorted(seen.items())
                    if export is not None and not naming.is_ours(export, spec.name)
                ),
            ),
            present=any(naming.is_ours(found, spec.name) for _, found in there),
            going=any(going(found) for _, found in there),
        )


def _health_check(spec: ServiceSpec) -> dict[str, Any]:
    manifest = load("healthcheckpolicy") | {"metadata": metadata(spec)}
    check, wanted = manifest["spec"]["default"], spec.ingress
    check["checkIntervalSec"] = wanted.check_interval_seconds
    # Google Cloud refuses a time-out longer than the interval.
    check["timeoutSec"] = min(check["timeoutSec"], wanted.check_interval_seconds)
    check["config"]["httpHealthCheck"] |= {"port": spec.pod.port, "requestPath": wanted.health_path}
    manifest["spec"]["targetRef"]["name"] = spec.name
    return manifest


def _backend_policy(spec: ServiceSpec) -> dict[str, Any]:
    manifest = load("gcpbackendpolicy") | {"metadata": metadata(spec)}
    manifest["spec"]["default"] |= {
        "timeoutSec": spec.ingress.timeout_seconds,
        "connectionDraining": {"drainingTimeoutSec": spec.ingress.draining_seconds},
    }
    if spec.ingress.security_policy:
        manifest["spec"]["default"]["securityPolicy"] = spec.ingress.security_policy
    if (iap := spec.ingress.iap) is not None:
        secret = {"oauth2ClientSecret": {"name": iap.oauth_secret}, "clientID": iap.client_id}
        manifest["spec"]["default"]["iap"] = {"enabled": True, **secret}
    manifest["spec"]["targetRef"]["name"] = spec.name
    return manifest


def _gateway_policy(spec: ServiceSpec, ssl_policy: str) -> dict[str, Any]:
    manifest = load("gcpgatewaypolicy") | {"metadata": metadata(spec)}
    manifest["spec"]["default"]["sslPolicy"] = ssl_policy
    manifest["spec"]["targetRef"]["name"] = spec.name
    return manifest


def _gateway(spec: ServiceSpec, annotations: Mapping[str, str]) -> dict[str, Any]:
    """Listen by HTTP, and by HTTPS where it is asked for; a certificate map is named on the Gateway itself."""
    https = spec.ingress.https
    mapped = {_CERTIFICATE_MAP: https.certificate_map} if https and https.certificate_map else {}
    manifest = load("gateway") | {"metadata": metadata(spec, {**mapped, **annotations})}
    if https:
        plain = manifest["spec"]["listeners"][0]
        secure = {**plain, "name": _HTTPS, "protocol": "HTTPS", "port": 443}
        if not mapped:
            secure["tls"] = {"mode": "Terminate", "options": {_CERTIFICATES: ",".join(https.certificates)}}
        manifest["spec"]["listeners"].append(secure)
    if spec.ingress.static_address_name:
        manifest["spec"]["addresses"] = [{"type": "NamedAddress", "value": spec.ingress.static_address_name}]
    return manifest


def _route(spec: ServiceSpec, annotations: Mapping[str, str]) -> dict[str, Any]:
    """Lead to the app: every host, or the one that is named; others are answered 404 then."""
    manifest = load("httproute") | {"metadata": metadata(spec, annotations)}
    body = manifest["spec"]
    body["parentRefs"][0]["name"] = spec.name
    body["rules"][0]["backendRefs"][0] |= {"name": spec.name, "port": SERVICE_PORT}
    if spec.ingress.https and spec.ingress.https.redirect:
        body["parentRefs"][0]["sectionName"] = _HTTPS
    if spec.ingress.host:
        body["hostnames"] = [spec.ingress.host]
    return manifest


def redirect_name(spec: ServiceSpec) -> str:
    """Give the name of the route that sends on who comes by HTTP."""
    return f"{spec.name}-to-https"


def _redirect(spec: ServiceSpec) -> dict[str, Any]:
    manifest = load("redirect")
    manifest["metadata"] = metadata(spec) | {"name": redirect_name(spec)}
    manifest["spec"]["parentRefs"][0] |= {"name": spec.name, "sectionName": _HTTP}
    return manifest


def _address(gateway: Mapping[str, Any]) -> str | None:
    found = mapping(gateway, "status").get("addresses")
    entries = found if isinstance(found, (list, tuple)) else ()
    return next((str(entry["value"]) for entry in entries if isinstance(entry, Mapping) and entry.get("value")), None)


def _made(gateway: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the backend services, short: the annotation holds their paths, with commas between them."""
    paths = annotation(gateway, _BACKEND_SERVICES).split(",")
    names = (path.strip().rpartition("/")[2] for path in paths)
    # What answers 404 to what no route takes is a backend service too; it has no endpoints.
    return tuple(dict.fromkeys(name for name in names if name and "-gw-serve404-" not in name))
