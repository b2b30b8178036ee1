"""How the regions of a service are wired into one address."""

from collections.abc import Mapping
from types import MappingProxyType

from controlplane.model.service import IngressKind
from ingress.gateway import MultiClusterGatewayWiring
from ingress.multicluster import MultiClusterIngressWiring
from ingress.wiring import Kind, MemberObjects, Objects, TrafficWiring, WiringState

WIRINGS: Mapping[IngressKind, TrafficWiring] = MappingProxyType(
    {
        IngressKind.MULTI_CLUSTER_INGRESS: MultiClusterIngressWiring(),
        IngressKind.MULTI_CLUSTER_GATEWAY: MultiClusterGatewayWiring(),
    }
)

__all__ = [
    "WIRINGS",
    "Kind",
    "MemberObjects",
    "MultiClusterGatewayWiring",
    "MultiClusterIngressWiring",
    "Objects",
    "TrafficWiring",
    "WiringState",
]
