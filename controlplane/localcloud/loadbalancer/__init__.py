"""The global load balancer: Envoy, programmed from MultiClusterIngress and MultiClusterService objects.

A controller that acts like Google's reads the config cluster, makes derived Services in the members, and tells Envoy
which Pods are where. See `controller` for the whole, `envoy_config` for how failover is made lossless.
"""

from controlplane.localcloud.loadbalancer.controller import LoadBalancer
from controlplane.localcloud.loadbalancer.errors import LoadBalancerError
from controlplane.localcloud.loadbalancer.resources import (
    BackendServiceHealth,
    EndpointHealth,
    ForwardingRule,
    GroupHealth,
)

__all__ = [
    "BackendServiceHealth",
    "EndpointHealth",
    "ForwardingRule",
    "GroupHealth",
    "LoadBalancer",
    "LoadBalancerError",
]
