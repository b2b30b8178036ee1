"""What the Google Cloud endpoints need of the rest of the local cloud, as small Protocols.

The endpoints hold no clusters and no load balancer of their own: they describe what is really there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from controlplane.localcloud.loadbalancer.resources import BackendServiceHealth, ForwardingRule, GroupHealth


@dataclass(frozen=True, slots=True)
class HostedCluster:
    """A cluster that runs here. `endpoint` is "127.0.0.1:PORT"; `ca_pem` certifies it; `status` is container's own."""

    name: str
    location: str
    endpoint: str
    ca_pem: str
    status: str = "RUNNING"
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    version: str = "1.37.0-gke.1000000"
    created: str = ""
    fleet: bool = True


class ClusterHost(Protocol):
    """Who runs the clusters."""

    def list(self) -> Sequence[HostedCluster]:
        """Give all clusters, the config cluster included."""
        ...

    async def create(self, name: str, location: str, labels: Mapping[str, str]) -> None:
        """Start a cluster; takes as long as that takes, and comes back when its API answers."""
        ...

    async def delete(self, name: str, location: str) -> None:
        """Stop a cluster and forget its objects."""
        ...


class BackendHealth(Protocol):
    """Who balances load."""

    def health(self) -> Mapping[str, BackendServiceHealth]:
        """Give the load balancer's backend services by name, with the health of each endpoint."""
        ...

    def leaked_groups(self) -> Sequence[GroupHealth]:
        """Give the network endpoint groups that nobody owns any more."""
        ...

    def remove_leaked(self, zone: str, name: str) -> None:
        """Delete one of them."""
        ...

    def forwarding_rules(self) -> Sequence[ForwardingRule]:
        """Give the addresses that the load balancer answers at."""
        ...
