"""The seam between the decision "these clusters answer" and the objects that make it so.

Multi Cluster Ingress is the default; multi-cluster Gateway is its successor, with other objects, some of them in the
members. Everything that knows the one or the other stands behind this Protocol, which is pure: the engine does the I/O.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from controlplane.model.service import ServiceSpec
from ingress.reading import managed

Objects: TypeAlias = "Mapping[Kind, Sequence[Mapping[str, Any]]]"
# By link, the member's objects of the wiring's member kind; None for a member that could not be seen.
MemberObjects: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]] | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind that the wiring writes."""

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
    present: some object of it that is ours is there. going: one of them is being deleted.
    """

    clusters: tuple[str, ...] | None
    address: str | None
    backend_services: tuple[str, ...]
    spec_hash: str
    resource_version: str
    foreign: tuple[str, ...] = ()
    present: bool = False
    going: bool = False


class TrafficWiring(Protocol):
    """Renders and reads the objects that wire a service."""

    def observed_kinds(self) -> Sequence[Kind]:
        """Give the kinds in the config cluster that `state` needs to see; one list call each serves all services."""
        ...

    def listing_kind(self) -> Kind:
        """Give the kind that holds the list of clusters; `WiringState.resource_version` is of its object."""
        ...

    def member_kind(self) -> Kind | None:
        """Give the kind whose presence in a member wires that member; None where the list alone does."""
        ...

    def backend_services(self, objects: Objects) -> list[str]:
        """Give the backend services of all our services, by the objects of the observed kinds."""
        ...

    def manifests(self, spec: ServiceSpec, clusters: Sequence[str], *, fence: int) -> list[dict[str, Any]]:
        """Render all objects of the config cluster, in the order of applying. `clusters` must not be empty."""
        ...

    def obsolete(self, spec: ServiceSpec) -> list[tuple[Kind, str]]:
        """Give kinds and names of what an earlier spec may have left and this one must not have."""
        ...

    def member_manifest(self, spec: ServiceSpec) -> dict[str, Any] | None:
        """Render what wires a member by being there; None where the list alone does."""
        ...

    def release_order(self, spec: ServiceSpec) -> list[tuple[Kind, str]]:
        """Give kinds and names in the order of deleting; the one that holds the list comes last."""
        ...

    def state(self, spec: ServiceSpec, objects: Objects, members: MemberObjects | None = None) -> WiringState:
        """Read the wiring of a service from all the objects of the observed kinds, and of the member kind."""
        ...


def in_use(wiring: TrafficWiring, objects: Objects) -> bool:
    """Say whether any of our services is wired this way."""
    return any(managed(objects.get(kind, ())) for kind in wiring.observed_kinds())
