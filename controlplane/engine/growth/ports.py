"""What clusters on demand need of the outside; a pass without them never makes a cluster."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from controlplane.gateways.memberships import MembershipListing
from controlplane.gateways.provisioning import NewCluster
from controlplane.model.growth import EndpointGroup, OperationSeen
from controlplane.model.offering import ClusterRef


class ClusterMaker(Protocol):
    """Who makes and deletes clusters."""

    def create_cluster(self, new: NewCluster) -> str: ...

    def delete_cluster(self, ref: ClusterRef, *, uid: str, labels: Mapping[str, str]) -> str: ...

    def operation(self, location: str, name: str) -> OperationSeen: ...


class Registry(Protocol):
    """Who registers clusters in the fleet."""

    def listing(self) -> MembershipListing: ...

    def create(self, ref: ClusterRef, *, labels: Mapping[str, str] | None = None) -> str: ...

    def delete(self, name: str, ref: ClusterRef) -> str: ...


class GroupSource(Protocol):
    """Who knows what the load balancer holds of clusters."""

    def listing(self) -> tuple[EndpointGroup, ...]: ...


@dataclass(frozen=True, slots=True)
class Grounds:
    """All of it. account: gives the email that the reconciler calls as; empty where the credentials do not tell."""

    maker: ClusterMaker
    registry: Registry
    groups: GroupSource
    account: Callable[[], str]
