"""How the regions of a service are wired into one address."""

from ingress.multicluster import MultiClusterIngressWiring
from ingress.wiring import Kind, TrafficWiring, WiringState

__all__ = ["Kind", "MultiClusterIngressWiring", "TrafficWiring", "WiringState"]
