"""The load balancer's parts as Google Cloud resources: backend services, network endpoint groups and their health."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """One Pod behind the load balancer; `healthy` is None until a health check has said something."""

    address: str
    port: int
    healthy: bool | None
    pod: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class GroupHealth:
    """One zonal network endpoint group: the Pods of one backend service in one zone of one cluster.

    uid: of the cluster's kube-system.
    """

    name: str
    zone: str
    cluster: str
    endpoints: tuple[EndpointHealth, ...] = ()
    uid: str = ""


@dataclass(frozen=True, slots=True)
class BackendServiceHealth:
    """One backend service: a port of a MultiClusterService or ServiceImport, as the load balancer has it programmed."""

    name: str
    namespace: str
    service: str
    port: int
    groups: tuple[GroupHealth, ...] = ()
    timeout_seconds: int = 30
    draining_seconds: int = 0
    health_check: str = ""
    check_path: str = "/"
    check_interval_seconds: int = 15
    affinity: str = "NONE"
    scheme: str = "EXTERNAL"
    kind: str = "MultiClusterService"


@dataclass(frozen=True, slots=True)
class ForwardingRule:
    """One address of the load balancer: a MultiClusterIngress or Gateway, as it is programmed."""

    name: str
    address: str
    port: int
    target_proxy: str
    url_map: str
    backend_services: tuple[str, ...] = field(default=())
    scheme: str = "EXTERNAL"
    tls: bool = False
