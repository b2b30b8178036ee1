"""What wires a fleet into one address, apart from its clusters: the fleet's features, and global static addresses.

Nothing here waits: what takes time gives the path at which its operation can be read.
Sources: cloud.google.com/kubernetes-engine/fleet-management/docs/reference/rest/v1/projects.locations.features and
cloud.google.com/compute/docs/reference/rest/v1/globalAddresses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.compute import ComputeClients
from controlplane.gateways.errors import Gone
from controlplane.gateways.retrying import Retrying, guarded
from controlplane.gateways.sanitise import sanitise

T = TypeVar("T")
INGRESS = "multiclusteringress"


@dataclass(frozen=True, slots=True)
class FeatureSeen:
    """A feature: its resource's state (ACTIVE, ENABLING, ...), and how it fares (OK, WARNING, ERROR, or nothing yet).

    config_membership: of the ingress feature, `projects/P/locations/L/memberships/M`.
    """

    state: str
    code: str
    description: str
    config_membership: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """A global address. users: what holds it, such as forwarding rules."""

    address: str
    status: str
    description: str
    users: tuple[str, ...] = ()


class FleetFeatures:
    """The features of the project's fleet. Every method raises GatewayError."""

    def __init__(self, access: GoogleAccess, *, retrying: Retrying, timeout: float) -> None:
        self._access, self._retrying, self._timeout = access, retrying, timeout
        self._client: Any = None

    def get(self, name: str) -> FeatureSeen | None:
        """Look at a feature by its short name; None when it is not enabled."""
        try:
            found = self._retrying.read(lambda: self._call("get_feature", {"name": self._name(name)}))
        except Gone:
            return None
        return FeatureSeen(
            state=found.resource_state.state.name,
            code=found.state.state.code.name,
            description=sanitise(found.state.state.description, 200),
            config_membership=str(found.spec.multiclusteringress.config_membership) if name == INGRESS else "",
            labels=dict(found.labels),
        )

    def create(self, name: str, config_membership: str, labels: Mapping[str, str]) -> str:
        """Enable a feature; give the operation's full name."""
        from google.cloud import gkehub_v1 as h

        resource = h.Feature(labels=dict(labels))
        if config_membership:
            resource.spec = h.CommonFeatureSpec(multiclusteringress={"config_membership": config_membership})
        request = {"parent": self._parent, "feature_id": name, "resource": resource}
        return str(self._write(lambda: self._call("create_feature", request)).operation.name)

    def delete(self, name: str) -> str:
        """Disable a feature; give the operation's full name, nothing when it is not enabled."""
        try:
            return str(self._write(lambda: self._call("delete_feature", {"name": self._name(name)})).operation.name)
        except Gone:
            return ""

    @property
    def _parent(self) -> str:
        return f"projects/{self._access.project.name}/locations/global"

    def _name(self, name: str) -> str:
        return f"{self._parent}/features/{name}"

    def _write(self, call: Callable[[], T]) -> T:
        guarded(self._access.token, write=False)
        return guarded(call, write=True)

    def _call(self, method: str, request: Mapping[str, Any]) -> Any:
        self._access.token()
        if self._client is None:
            from google.cloud.gkehub_v1 import GkeHubClient

            self._client = self._access.client("gkehub", GkeHubClient)
        return getattr(self._client, method)(request=request, timeout=self._timeout, retry=None)


class GlobalAddresses:
    """Global static addresses of the project. Every method raises GatewayError."""

    def __init__(self, access: GoogleAccess, compute: ComputeClients, *, retrying: Retrying, timeout: float) -> None:
        self._access, self._compute, self._retrying, self._timeout = access, compute, retrying, timeout

    def get(self, name: str) -> AddressSeen | None:
        """Look at an address by its name; None when there is none."""
        try:
            found = self._retrying.read(lambda: self._call("get", address=name))
        except Gone:
            return None
        return AddressSeen(found.address, found.status, found.description, tuple(map(str, found.users)))

    def reserve(self, name: str, description: str) -> str:
        """Reserve one; give the operation's name."""

        def insert() -> Any:
            from google.cloud.compute_v1 import Address

            wanted = Address(name=name, description=description, ip_version="IPV4")
            return self._call("insert_unary", address_resource=wanted)

        return str(guarded(insert, write=True).name)

    def release(self, name: str) -> str:
        """Give one back; give the operation's name, nothing when it is not there."""
        try:
            return str(guarded(lambda: self._call("delete_unary", address=name), write=True).name)
        except Gone:
            return ""

    def _call(self, method: str, **arguments: Any) -> Any:
        self._access.token()
        client = self._compute.get("GlobalAddressesClient")
        return getattr(client, method)(
            project=self._access.project.name, **arguments, timeout=self._timeout, retry=None
        )
