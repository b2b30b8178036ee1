"""The seam between the decision "these clusters answer" and the objects that make it so.

Multi Cluster Ingress is what is used; multi-cluster Gateway is its successor, with other objects in other clusters.
Everything that knows the one or the other stands behind this Protocol, and it is pure: the engine does the I/O.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from controlplane.model.service import ServiceSpec


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind that the wiring writes into the config cluster."""

    group: str
    version: str
    plural: str
    name: str

    @property
    def api_version(self) -> str:
        """Give group/version."""
        return f"{self.group}/{self.version}"


@dataclass(frozen=True, slots=True)
class WiringState:
    """The wiring of one service as its objects say it.

    backend_services: names at the compute API whose health tells which backends answer.
    foreign: kind/name of objects that bear our names and are not ours.
    """

    clusters: tuple[str, ...] | None
    address: str | None
    backend_services: tuple[str, ...]
    spec_hash: str
    resource_version: str
    foreign: tuple[str, ...] = ()


class TrafficWiring(Protocol):
    """Renders and reads the objects that wire a service."""

    def observed_kinds(self) -> Sequence[Kind]:
        """Give the kinds that `state` needs to see; one list call each serves all services."""
        ...

    def listing_kind(self) -> Kind:
        """Give the kind that holds the list of clusters; `WiringState.resource_version` is of its object."""
        ...

    def backend_services(self, objects: Mapping[Kind, Sequence[Mapping[str, Any]]]) -> list[str]:
        """Give the backend services of all our services, by the objects of the observed kinds."""
        ...

    def manifests(self, spec: ServiceSpec, clusters: Sequence[str], *, fence: int) -> list[dict[str, Any]]:
        """Render all objects, in the order of applying. `clusters` must not be empty."""
        ...

    def release_order(self, spec: ServiceSpec) -> list[tuple[Kind, str]]:
        """Give kinds and names in the order of deleting."""
        ...

    def state(self, spec: ServiceSpec, objects: Mapping[Kind, Sequence[Mapping[str, Any]]]) -> WiringState:
        """Read the wiring of a service from all the objects of the observed kinds."""
        ...
