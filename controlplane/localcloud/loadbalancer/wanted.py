"""What the config cluster asks of the load balancer, as values: one snapshot of all its objects.

Snapshots are compared and queued: the controller programs each one its convergence delay after it was seen, which is
how an edit reaches Google's load balancer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from controlplane.localcloud.loadbalancer.names import digest, gateway_name, resource_name

# (namespace, name) of what a Service or an Ingress stands for.
Key: TypeAlias = tuple[str, str]
# (kind, namespace, name) of what an Ingress stands for.
Ident: TypeAlias = tuple[str, str, str]

MULTI_CLUSTER_SERVICE, SERVICE_IMPORT = "MultiClusterService", "ServiceImport"
MULTI_CLUSTER_INGRESS, GATEWAY = "MultiClusterIngress", "Gateway"


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
