"""What Gateways, HTTPRoutes and policies ask of the load balancer, as the same values that Multi Cluster Ingress gives.

Read are the multi-cluster GatewayClasses of external load balancers, routes to ServiceImports with one backend a rule,
and matches by path. What else a route asks for is refused and said on it, rather than half done. A Gateway gets its
address with the first route that leads somewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers.objects import is_deleting, key_of
from controlplane.localcloud.loadbalancer.exports import Exports, Ports
from controlplane.localcloud.loadbalancer.wanted import (
    GATEWAY,
    SERVICE_IMPORT,
    Backend,
    Frontend,
    HealthCheck,
    Ingress,
    Key,
    LookUp,
    Route,
    Service,
    Wanted,
)

_CERTIFICATES = "networking.gke.io/pre-shared-certs"
_CERTIFICATE_MAP = "networking.gke.io/certmap"
_ANYTHING: Mapping[str, Any] = {}
_CLASSES = ("gke-l7-global-external-managed-mc", "gke-l7-gxlb-mc")


class RouteError(Exception):
    """A route cannot be programmed. `reason` is the condition's."""

    def __init__(self, condition: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.condition, self.reason, self.message = condition, reason, message


@dataclass
class GatewayReading:
    """Services and addresses; by route, what is wrong with it or None; by service or Gateway, what it names in vain."""

    services: tuple[Service, ...] = ()
    ingresses: tuple[Ingress, ...] = ()
    routes: dict[Key, RouteError | None] = field(default_factory=dict)
    problems: dict[Key, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """The objects of the config cluster."""

    gateways: list[Object]
    routes: list[Object]
    backend_policies: list[Object]
    health_policies: list[Object]
    gateway_policies: list[Object] = field(default_factory=list)


def read(asked: Asked, exports: Mapping[str, Exports], last: Wanted, look_up: LookUp) -> GatewayReading:
    """Read the config cluster's objects, with what each cluster exports; what is in error keeps what was last read."""
    services = _services(exports, _by_target(asked.backend_policies), _by_target(asked.health_policies))
    problems: dict[Key, str] = {}
    for key, policy in _by_target(asked.backend_policies).items():
        if key in services:
            services[key] = _guarded(services[key], policy, last, look_up, problems)
    ours = {key_of(body): body for body in asked.gateways if is_ours(body) and not is_deleting(body)}
    gateways: dict[Key, list[Route]] = {key: [] for key in ours}
    plain: dict[Key, str] = dict.fromkeys(ours, "nothing")
    reading = GatewayReading(services=tuple(services.values()), problems=problems)
    for body in sorted(asked.routes, key=key_of):
        parents = [key for key in parents_of(body) if key in gateways]
        if is_deleting(body) or not parents:
            continue
        redirects = _redirects(body)
        try:
            found = [] if redirects else _routes(body, services)
        except RouteError as error:
            reading.routes[key_of(body)] = error
            continue
        reading.routes[key_of(body)] = None
        for parent in parents:
            gateways[parent] += found
            if _by_http(body, parent, ours[parent]):
                plain[parent] = "redirect" if redirects else "app"
    policies = _by_target(asked.gateway_policies, ("gateway.networking.k8s.io", GATEWAY))
    made: list[Ingress] = []
    for key, routes in sorted(gateways.items()):
        if not routes:
            continue
        try:
            frontend = _frontend(ours[key], policies.get(key, {}), plain[key], look_up)
            made.append(Ingress(key, None, tuple(routes), kind=GATEWAY, frontend=frontend))
        except ValueError as error:
            problems[key] = str(error)
            before = last.ingress(key, GATEWAY)
            made += [before] if before is not None else []
    reading.ingresses = tuple(made)
    return reading


def _guarded(
    service: Service, policy: Mapping[str, Any], last: Wanted, look_up: LookUp, problems: dict[Key, str]
) -> Service:
    """Put in front of a service what guards it; where that is not there, it keeps what was last read.

    What was to be guarded and never was is not served without its guard.
    """
    try:
        name, client = _guards(service.key, policy, look_up)
    except ValueError as error:
        problems[service.key] = str(error)
        old = last.service(service.key, SERVICE_IMPORT)
        kept = () if old is None else old.backends
        return replace(service, backends=kept)
    guarded = (replace(each, security_policy=name, iap_client=client) for each in service.backends)
    return replace(service, backends=tuple(guarded))


def _frontend(gateway: Object, policy: Mapping[str, Any], plain: str, look_up: LookUp) -> Frontend | None:
    """Read how a Gateway speaks HTTPS; None where it does not. Raises ValueError."""
    secure = [each for each in gateway["spec"]["listeners"] if each.get("protocol") == "HTTPS"]
    if not secure:
        return None
    if (gateway["metadata"].get("annotations") or {}).get(_CERTIFICATE_MAP):
        raise ValueError("the local cloud has no Certificate Manager: use pre-shared certificates to rehearse")
    options = (secure[0].get("tls") or {}).get("options") or {}
    certificates = tuple(name.strip() for name in options.get(_CERTIFICATES, "").split(",") if name.strip())
    if not certificates:
        raise ValueError(f"listener {secure[0]['name']} names no certificate (tls.options {_CERTIFICATES})")
    for certificate in certificates:
        look_up.get("sslCertificates", certificate)
    ssl_policy = policy.get("sslPolicy") or ""
    if ssl_policy:
        look_up.get("sslPolicies", ssl_policy)
    return Frontend(certificates, ssl_policy, plain)


def _guards(key: Key, policy: Mapping[str, Any], look_up: LookUp) -> tuple[str, str]:
    """Read what a GCPBackendPolicy puts in front of a backend service. Raises ValueError."""
    name, iap = policy.get("securityPolicy") or "", policy.get("iap") or {}
    if name:
        look_up.get("securityPolicies", name)
    if iap.get("enabled"):
        look_up.secret(key[0], (iap.get("oauth2ClientSecret") or {}).get("name") or "", ("key",))
        if not iap.get("clientID"):
            raise ValueError("iap.clientID is missing")
    return name, str(iap["clientID"]) if iap.get("enabled") else ""


def _redirects(route: Object) -> bool:
    """Say whether a route sends everything on to HTTPS."""
    filters = [each for rule in route["spec"].get("rules") or () for each in rule.get("filters") or ()]
    return bool(filters) and all(
        each.get("type") == "RequestRedirect" and (each.get("requestRedirect") or {}).get("scheme") == "https"
        for each in filters
    )


def _by_http(route: Object, gateway: Key, body: Object) -> bool:
    """Say whether a route is attached to a listener that speaks HTTP."""
    sections = {
        ref.get("sectionName")
        for ref in route["spec"].get("parentRefs") or ()
        if (ref.get("namespace") or route["metadata"]["namespace"], ref["name"]) == gateway
    }
    names = {each["name"] for each in body["spec"]["listeners"] if each.get("protocol") == "HTTP"}
    return bool(names) and (None in sections or bool(names & sections))


def is_ours(gateway: Object) -> bool:
    """Say whether a Gateway is of a class that is programmed here."""
    return gateway["spec"]["gatewayClassName"] in _CLASSES


def parents_of(route: Object) -> list[Key]:
    """Give the Gateways that a route names."""
    namespace = route["metadata"]["namespace"]
    return [
        (ref.get("namespace") or namespace, ref["name"])
        for ref in route["spec"].get("parentRefs") or ()
        if ref.get("kind", "Gateway") == "Gateway"
    ]


def _services(
    exports: Mapping[str, Exports], policies: Mapping[Key, Object], checks: Mapping[Key, Object]
) -> dict[Key, Service]:
    ports: dict[Key, Ports] = {}
    links: dict[Key, list[str]] = {}
    for link, found in sorted(exports.items()):
        for key, numbers in found.items():
            ports.setdefault(key, numbers)
            links.setdefault(key, []).append(link)
    return {
        key: Service(
            key,
            tuple(links[key]),
            "",
            tuple(_backend(key, name, port, policies.get(key, {}), checks.get(key, {})) for name, port in ports[key]),
            kind=SERVICE_IMPORT,
        )
        for key in sorted(ports)
    }


def _backend(key: Key, name: str, port: int, policy: Mapping[str, Any], check: Mapping[str, Any]) -> Backend:
    affinity = policy.get("sessionAffinity") or {}
    http = (check.get("config") or {}).get("httpHealthCheck") or {}
    default = HealthCheck()
    health = HealthCheck(
        path=http.get("requestPath", default.path),
        port=http.get("port") if http.get("portSpecification") == "USE_FIXED_PORT" else None,
        interval=check.get("checkIntervalSec", default.interval),
        timeout=check.get("timeoutSec", default.timeout),
        healthy=check.get("healthyThreshold", default.healthy),
        unhealthy=check.get("unhealthyThreshold", default.unhealthy),
    )
    return Backend(
        service=key,
        port=port,
        port_name=name,
        health=health,
        timeout=policy.get("timeoutSec", 30),
        draining=(policy.get("connectionDraining") or {}).get("drainingTimeoutSec", 0),
        affinity=affinity.get("type") or "NONE",
        affinity_seconds=affinity.get("cookieTtlSec", 0),
        kind=SERVICE_IMPORT,
    )


def _by_target(policies: Iterable[Object], kind: tuple[str, str] = ("net.gke.io", SERVICE_IMPORT)) -> dict[Key, Object]:
    """Give the settings of each target's policy; of several, the oldest one's count."""
    found: dict[Key, Object] = {}
    for body in sorted(policies, key=lambda b: (b["metadata"].get("creationTimestamp") or "", key_of(b))):
        target = body["spec"]["targetRef"]
        if (target["group"], target["kind"]) == kind and not is_deleting(body):
            found.setdefault((body["metadata"]["namespace"], target["name"]), body["spec"].get("default") or {})
    return found


def _routes(body: Object, services: Mapping[Key, Service]) -> list[Route]:
    hosts = body["spec"].get("hostnames") or ["*"]
    found = []
    for rule in body["spec"].get("rules") or ():
        if rule.get("filters") or len(rule.get("backendRefs") or ()) != 1:
            raise RouteError("Accepted", "UnsupportedValue", "a rule must have one backendRef and no filters here")
        backend = _resolve(body["metadata"]["namespace"], rule["backendRefs"][0], services)
        paths = [path for match in rule.get("matches") or [_ANYTHING] for path in _paths(match)]
        found += [Route(host, path, backend) for host in hosts for path in paths]
    return found


def _paths(match: Mapping[str, Any]) -> list[str]:
    path = match.get("path") or {}
    kind, value = path.get("type", "PathPrefix"), path.get("value", "/")
    if kind == "RegularExpression" or set(match) - {"path"}:
        raise RouteError(
            "Accepted", "UnsupportedValue", "only matches by path are programmed here, Exact or PathPrefix"
        )
    if kind == "Exact":
        return [value]
    stem = value.rstrip("/")
    return [stem, f"{stem}/*"] if stem else ["/*"]


def _resolve(namespace: str, ref: Mapping[str, Any], services: Mapping[Key, Service]) -> str:
    if (ref.get("group"), ref.get("kind")) != ("net.gke.io", SERVICE_IMPORT):
        what = f"{ref.get('kind', 'Service')} {ref['name']}"
        raise RouteError("ResolvedRefs", "InvalidKind", f"{what}: a multi-cluster Gateway leads to ServiceImports")
    key = ref.get("namespace") or namespace, ref["name"]
    service = services.get(key)
    if service is None:
        raise RouteError("ResolvedRefs", "BackendNotFound", f'ServiceImport "{key[0]}/{key[1]}" not found')
    for backend in service.backends:
        if backend.port == ref.get("port"):
            return backend.name
    raise RouteError(
        "ResolvedRefs", "BackendNotFound", f'ServiceImport "{key[0]}/{key[1]}" has no port {ref.get("port")}'
    )
