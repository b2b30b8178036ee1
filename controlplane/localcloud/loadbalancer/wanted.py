"""What the config cluster asks of the load balancer, as values: one snapshot of all its objects.

Snapshots are compared and queued: the controller programs each one its convergence delay after it was seen, which is
how an edit reaches Google's load balancer.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from controlplane.localcloud.apiserver.api import Object

# (namespace, name) of what a Service or an Ingress stands for.
Key: TypeAlias = tuple[str, str]
# (kind, namespace, name) of what an Ingress stands for.
Ident: TypeAlias = tuple[str, str, str]

MULTI_CLUSTER_SERVICE, SERVICE_IMPORT = "MultiClusterService", "ServiceImport"
MULTI_CLUSTER_INGRESS, GATEWAY = "MultiClusterIngress", "Gateway"

_CERTIFICATES = "networking.gke.io/pre-shared-certs"
_FRONTEND_CONFIG = "networking.gke.io/frontend-config"
_STATIC_IP = "networking.gke.io/static-ip"
_BACKEND_CONFIG_ANNOTATIONS = ("cloud.google.com/backend-config", "beta.cloud.google.com/backend-config")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a Pod is found healthy; the defaults are GKE's. `port` None is the serving port."""

    path: str = "/"
    port: int | None = None
    interval: int = 15
    timeout: int = 15
    healthy: int = 1
    unhealthy: int = 2


@dataclass(frozen=True, slots=True)
class Backend:
    """One port of a MultiClusterService or a ServiceImport: a backend service of the load balancer.

    security_policy: of Cloud Armor, by name. iap_client: the OAuth client of Identity-Aware Proxy. Empty where off.
    """

    service: Key
    port: int
    port_name: str
    health: HealthCheck = HealthCheck()
    timeout: int = 30
    draining: int = 0
    affinity: str = "NONE"
    affinity_seconds: int = 0
    request_headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    kind: str = MULTI_CLUSTER_SERVICE
    security_policy: str = ""
    iap_client: str = ""

    @property
    def name(self) -> str:
        """The backend service's name; the prefix is reserved to the product that made it."""
        namespace, name = self.service
        if self.kind == SERVICE_IMPORT:
            return gateway_name(f"{namespace}-{name}-{self.port}")
        return resource_name(f"{self.port}-{namespace}-{name}")


@dataclass(frozen=True, slots=True)
class Service:
    """A MultiClusterService. `links` None is every member; `template` is the derived Services' spec, as JSON.

    Or a ServiceImport: `links` are the clusters that export it, and there is nothing to derive.
    """

    key: Key
    links: tuple[str, ...] | None
    template: str
    backends: tuple[Backend, ...] = ()
    kind: str = MULTI_CLUSTER_SERVICE

    @property
    def derived_name(self) -> str:
        """The name of the Service in each member whose Pods it has: a headless one of its own, or the exported one."""
        namespace, name = self.key
        if self.kind == SERVICE_IMPORT:
            return name
        return f"mci-{name[:40]}-svc-{digest(f'{namespace}/{name}', 16)}"

    def in_cluster(self, link: str) -> bool:
        """Say whether it takes Pods of this cluster."""
        return self.links is None or link in self.links


@dataclass(frozen=True, slots=True)
class Route:
    """A host and path, and the backend service that answers there. `path` is the URL map's: exact, or ending in /*."""

    host: str
    path: str
    backend: str


@dataclass(frozen=True, slots=True)
class Frontend:
    """How an address speaks HTTPS: certificates and an SSL policy by name.

    plain: what HTTP gets: `app`, `redirect` or `nothing`.
    """

    certificates: tuple[str, ...]
    ssl_policy: str = ""
    plain: str = "app"


@dataclass(frozen=True, slots=True)
class Ingress:
    """A MultiClusterIngress or a Gateway whose backends exist; without a frontend it speaks HTTP alone."""

    key: Key
    default: str | None
    routes: tuple[Route, ...] = ()
    kind: str = MULTI_CLUSTER_INGRESS
    frontend: Frontend | None = None

    @property
    def ident(self) -> Ident:
        """What it stands for."""
        return (self.kind, *self.key)

    @property
    def slug(self) -> str:
        """A name that no other has, for files and resources."""
        plain = "-".join(self.key)
        return gateway_name(plain) if self.kind == GATEWAY else plain

    @property
    def backends(self) -> tuple[str, ...]:
        """The backend services that it names, each once, the default first."""
        names = ((self.default,) if self.default else ()) + tuple(route.backend for route in self.routes)
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of it."""

    services: tuple[Service, ...] = ()
    ingresses: tuple[Ingress, ...] = ()

    def service(self, key: Key, kind: str = MULTI_CLUSTER_SERVICE) -> Service | None:
        """Give one service."""
        return next((each for each in self.services if (each.kind, each.key) == (kind, key)), None)

    def ingress(self, key: Key, kind: str = MULTI_CLUSTER_INGRESS) -> Ingress | None:
        """Give one ingress."""
        return next((each for each in self.ingresses if (each.kind, each.key) == (kind, key)), None)

    def backends(self) -> list[Backend]:
        """Give the backend services that an ingress uses: Google makes none for the others."""
        used = {name for ingress in self.ingresses for name in ingress.backends}
        return [backend for service in self.services for backend in service.backends if backend.name in used]


class LookUp(Protocol):
    """What objects refer to by name. Both raise ValueError, in the words for the user, for what is not there."""

    def get(self, kind: str, name: str) -> Mapping[str, Any]:
        """Give a Compute resource of the project."""
        ...

    def secret(self, namespace: str, name: str, keys: tuple[str, ...]) -> Mapping[str, str]:
        """Give these values of a Secret."""
        ...


@dataclass
class Reading:
    """A snapshot, and what is wrong with objects that could not be taken into it: message by kind and key."""

    wanted: Wanted = field(default_factory=Wanted)
    problems: dict[tuple[str, Key], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """The objects of the config cluster."""

    ingresses: Iterable[Object]
    services: Iterable[Object]
    backend_configs: Iterable[Object]
    frontend_configs: Iterable[Object] = ()


def read(asked: Asked, last: Wanted, look_up: LookUp) -> Reading:
    """Read the config cluster's objects; one in error keeps what was last read of it, as Google's controller does."""
    reading = Reading()
    by_key = {_key(config): config.get("spec") or {} for config in asked.backend_configs}
    frontends = {_key(config): config.get("spec") or {} for config in asked.frontend_configs}
    found_services: dict[Key, Service] = {}
    for body in asked.services:
        key = _key(body)
        if _deleting(body):
            continue
        try:
            found_services[key] = _service(body, by_key, look_up)
        except ValueError as error:
            reading.problems["MultiClusterService", key] = str(error)
            if (old := last.service(key)) is not None:
                found_services[key] = old
    found_ingresses = []
    for body in asked.ingresses:
        if _deleting(body):
            continue
        ingress, problem = _ingress(body, found_services)
        if ingress is not None:
            try:
                ingress = replace(ingress, frontend=_frontend(body, frontends, look_up))
            except ValueError as error:
                problem, ingress = str(error), last.ingress(_key(body))
        if problem:
            reading.problems["MultiClusterIngress", _key(body)] = problem
        if ingress is not None:
            found_ingresses.append(ingress)
    reading.wanted = Wanted(tuple(found_services.values()), tuple(found_ingresses))
    return reading


def digest(text: str, length: int) -> str:
    """Give a short stable hash for a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def resource_name(rest: str) -> str:
    """Give a Compute resource's name as Multi Cluster Ingress makes it: mci-, six characters of the fleet, the rest."""
    name = f"mci-{digest('gpu-hunter', 6)}-{rest}"
    return name if len(name) <= 63 else f"{name[:56]}{digest(rest, 7)}"


def gateway_name(rest: str) -> str:
    """Give a Compute resource's name as the multi-cluster Gateway controller makes it: gkemcg1-, the rest, a hash."""
    return f"gkemcg1-{rest[:42].rstrip('-')}-{digest(rest, 12)}"


def _key(body: Object) -> Key:
    metadata = body["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _deleting(body: Object) -> bool:
    return "deletionTimestamp" in body["metadata"]


def _frontend(body: Object, configs: Mapping[Key, Object], look_up: LookUp) -> Frontend | None:
    """Read how an address speaks HTTPS; None where it does not. Raises ValueError."""
    annotations = body["metadata"].get("annotations") or {}
    certificates = tuple(name.strip() for name in annotations.get(_CERTIFICATES, "").split(",") if name.strip())
    name = annotations.get(_FRONTEND_CONFIG, "")
    key = _key(body)[0], name
    if name and key not in configs:
        raise ValueError(f'FrontendConfig "{key[0]}/{name}" not found')
    if not certificates:
        return None
    if not annotations.get(_STATIC_IP):
        raise ValueError(f"HTTPS needs a static IP: annotation {_STATIC_IP} is missing")
    config = configs.get(key, {})
    policy, redirect = config.get("sslPolicy") or "", (config.get("redirectToHttps") or {}).get("enabled")
    for certificate in certificates:
        look_up.get("sslCertificates", certificate)
    if policy:
        look_up.get("sslPolicies", policy)
    return Frontend(certificates, policy, "redirect" if redirect else "app")


def _guards(key: Key, config: Mapping[str, Any], look_up: LookUp) -> tuple[str, str]:
    """Read what a BackendConfig puts in front of a backend service. Raises ValueError."""
    policy, iap = (config.get("securityPolicy") or {}).get("name") or "", config.get("iap") or {}
    if policy:
        look_up.get("securityPolicies", policy)
    client = ""
    if iap.get("enabled"):
        name = (iap.get("oauthclientCredentials") or {}).get("secretName") or ""
        client = look_up.secret(key[0], name, ("client_id", "client_secret"))["client_id"]
    return policy, client


def _service(body: Object, configs: Mapping[Key, Object], look_up: LookUp) -> Service:
    key = _key(body)
    spec = body["spec"]
    template = (spec.get("template") or {}).get("spec") or {}
    clusters = spec.get("clusters")
    # An empty list reads like an absent one: nobody can tell them apart once a client has left empty fields out.
    links = tuple(dict.fromkeys(cluster["link"] for cluster in clusters)) if clusters else None
    ports = [_port(port, len(template.get("ports") or ())) for port in template.get("ports") or ()]
    if not ports:
        raise ValueError("spec.template.spec.ports must name at least one port")
    chosen = _config_names(body)
    backends = []
    for port in ports:
        name = chosen.get(str(port["port"]), chosen.get(port["name"], chosen.get("", "")))
        if name and (key[0], name) not in configs:
            raise ValueError(f'BackendConfig "{key[0]}/{name}" not found')
        config = configs.get((key[0], name), {})
        policy, client = _guards(key, config, look_up)
        backends.append(replace(_backend(key, port, config), security_policy=policy, iap_client=client))
    derived = {"clusterIP": "None", "selector": template.get("selector") or {}, "ports": ports, "type": "ClusterIP"}
    return Service(key, links, json.dumps(derived, sort_keys=True), tuple(backends))


def _port(port: Mapping[str, Any], count: int) -> dict[str, Any]:
    # Kubernetes wants names when there are several ports; the derived Service gets one where the user gave none.
    name = port.get("name") or (f"port-{port['port']}" if count > 1 else "")
    full = {"protocol": port.get("protocol", "TCP"), "port": port["port"]}
    return {"name": name, **full, "targetPort": port.get("targetPort", port["port"])}


def _config_names(body: Object) -> dict[str, str]:
    """Read the annotation: {"default": name, "ports": {"80": name}}; the key "" is the default."""
    annotations = body["metadata"].get("annotations") or {}
    text = next((annotations[key] for key in _BACKEND_CONFIG_ANNOTATIONS if key in annotations), "{}")
    try:
        value = json.loads(text)
        names = {"": value["default"]} if "default" in value else {}
        return names | {str(port): str(name) for port, name in (value.get("ports") or {}).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"annotation {_BACKEND_CONFIG_ANNOTATIONS[0]} is not the expected JSON object") from error


def _backend(key: Key, port: Mapping[str, Any], config: Mapping[str, Any]) -> Backend:
    check = config.get("healthCheck") or {}
    affinity = config.get("sessionAffinity") or {}
    default = HealthCheck()
    health = HealthCheck(
        path=check.get("requestPath", default.path),
        port=check.get("port"),
        interval=check.get("checkIntervalSec", default.interval),
        timeout=check.get("timeoutSec", default.timeout),
        healthy=check.get("healthyThreshold", default.healthy),
        unhealthy=check.get("unhealthyThreshold", default.unhealthy),
    )
    return Backend(
        service=key,
        port=port["port"],
        port_name=port["name"],
        health=health,
        timeout=config.get("timeoutSec", 30),
        draining=(config.get("connectionDraining") or {}).get("drainingTimeoutSec", 0),
        affinity=affinity.get("affinityType") or "NONE",
        affinity_seconds=affinity.get("affinityCookieTtlSec", 0),
        request_headers=tuple((config.get("customRequestHeaders") or {}).get("headers") or ()),
        response_headers=tuple((config.get("customResponseHeaders") or {}).get("headers") or ()),
    )


def _ingress(body: Object, services: Mapping[Key, Service]) -> tuple[Ingress | None, str]:
    key = _key(body)
    spec = (body["spec"].get("template") or {}).get("spec") or {}
    problems: list[str] = []

    def resolve(backend: Mapping[str, Any]) -> str | None:
        service = services.get((key[0], backend["serviceName"]))
        if service is None:
            problems.append(f'MultiClusterService "{key[0]}/{backend["serviceName"]}" not found')
            return None
        for candidate in service.backends:
            if str(backend["servicePort"]) in (str(candidate.port), candidate.port_name):
                return candidate.name
        problems.append(f'MultiClusterService "{key[0]}/{service.key[1]}" has no port {backend["servicePort"]}')
        return None

    default = resolve(spec["backend"]) if spec.get("backend") else None
    routes = tuple(
        Route(rule.get("host") or "*", path.get("path") or "/*", name)
        for rule in spec.get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
        if (name := resolve(path["backend"])) is not None
    )
    ingress = Ingress(key, default, routes) if default or routes else None
    return ingress, "; ".join(dict.fromkeys(problems))
