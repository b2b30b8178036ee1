"""What Gateways, HTTPRoutes and policies ask of the load balancer, as the same values that Multi Cluster Ingress gives.

Read are the multi-cluster GatewayClasses of external load balancers, routes to ServiceImports with one backend a rule,
and matches by path. What else a route asks for is refused and said on it, rather than half done. A Gateway gets its
address with the first route that leads somewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers.objects import is_deleting, key_of
from controlplane.localcloud.loadbalancer.exports import Exports, Ports
from controlplane.localcloud.loadbalancer.wanted import (
    GATEWAY,
    SERVICE_IMPORT,
    Backend,
    HealthCheck,
    Ingress,
    Key,
    Route,
    Service,
)

_ANYTHING: Mapping[str, Any] = {}
_CLASSES = ("gke-l7-global-external-managed-mc", "gke-l7-gxlb-mc")


class RouteError(Exception):
    """A route cannot be programmed. `reason` is the condition's."""

    def __init__(self, condition: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.condition, self.reason, self.message = condition, reason, message


@dataclass
class GatewayReading:
    """Services and addresses; and by route, what is wrong with it or None."""

    services: tuple[Service, ...] = ()
    ingresses: tuple[Ingress, ...] = ()
    routes: dict[Key, RouteError | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """The objects of the config cluster."""

    gateways: list[Object]
    routes: list[Object]
    backend_policies: list[Object]
    health_policies: list[Object]


def read(asked: Asked, exports: Mapping[str, Exports]) -> GatewayReading:
    """Read the config cluster's objects, with what each cluster exports."""
    services = _services(exports, _by_target(asked.backend_policies), _by_target(asked.health_policies))
    gateways: dict[Key, list[Route]] = {
        key_of(body): [] for body in asked.gateways if is_ours(body) and not is_deleting(body)
    }
    reading = GatewayReading(services=tuple(services.values()))
    for body in sorted(asked.routes, key=key_of):
        parents = [key for key in parents_of(body) if key in gateways]
        if is_deleting(body) or not parents:
            continue
        try:
            found = _routes(body, services)
        except RouteError as error:
            reading.routes[key_of(body)] = error
            continue
        reading.routes[key_of(body)] = None
        for parent in parents:
            gateways[parent] += found
    reading.ingresses = tuple(
        Ingress(key, None, tuple(routes), kind=GATEWAY) for key, routes in sorted(gateways.items()) if routes
    )
    return reading


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


def _by_target(policies: Iterable[Object]) -> dict[Key, Object]:
    """Give the settings of each ServiceImport's policy; of several, the oldest one's count."""
    found: dict[Key, Object] = {}
    for body in sorted(policies, key=lambda b: (b["metadata"].get("creationTimestamp") or "", key_of(b))):
        target = body["spec"]["targetRef"]
        if (target["group"], target["kind"]) == ("net.gke.io", SERVICE_IMPORT) and not is_deleting(body):
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
