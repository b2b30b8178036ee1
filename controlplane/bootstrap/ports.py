"""What bootstrap needs of the outside, as small Protocols; the gateways fulfil them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from controlplane.bootstrap.values import Json, Operation, Part, Seen
from controlplane.model.growth import OperationSeen
from controlplane.model.offering import ClusterRef

if TYPE_CHECKING:
    from controlplane.gateways.administration import Administration
    from controlplane.gateways.balancer import EndpointGroups
    from controlplane.gateways.fleetparts import FleetFeatures, GlobalAddresses
    from controlplane.gateways.memberships import Memberships
    from controlplane.gateways.provisioning import Provisioning


class Handler(Protocol):
    """Does with one kind of part what there is to be done. Every method raises GatewayError."""

    def look(self, part: Part) -> Seen:
        """Look how it stands."""
        ...

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Make it, or bring it to what is wanted; give what goes on after that."""
        ...

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Take it away, if it is ours; give what goes on after that."""
        ...


class Operations(Protocol):
    """Tells how far operations are."""

    def operation(self, api: str, path: str) -> OperationSeen:
        """Look how far one is."""
        ...


class ClusterApi(Protocol):
    """One cluster's API server."""

    def list(self, resource: Any) -> list[Json]:
        """List all objects of a kind."""
        ...

    def get(self, resource: Any, name: str, *, namespace: str | None = None) -> Json | None:
        """Read an object; None when it is not there."""
        ...

    def apply(self, manifest: Mapping[str, Any]) -> Json:
        """Server-side apply."""
        ...


@dataclass(frozen=True, slots=True)
class Gateways:
    """All of them. connect: gives a cluster's API server. source: the code of the image, as a gzipped tar archive."""

    administration: "Administration"
    provisioning: "Provisioning"
    memberships: "Memberships"
    groups: "EndpointGroups"
    features: "FleetFeatures"
    addresses: "GlobalAddresses"
    connect: Callable[[ClusterRef], ClusterApi]
    source: Callable[[], bytes]
