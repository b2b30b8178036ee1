"""The fleet's memberships: what container registers and gkehub lists, kept in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from controlplane.localcloud.gcp.hosts import ClusterHost, HostedCluster

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Registration:
    """One membership: its id and location, and the cluster (LOCATION/NAME) that it registers."""

    location: str
    name: str
    cluster: str
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    created: str = ""
    cluster_missing: bool = False


class Fleet:
    """The memberships of a project. Hosted clusters are members from the start, until they are taken out."""

    def __init__(self, clusters: ClusterHost) -> None:
        self._clusters = clusters
        self._left: set[str] = set()
        self._added: dict[tuple[str, str], Registration] = {}

    def members(self) -> list[Registration]:
        """Give all memberships, ordered by location and id."""
        hosted = {f"{each.location}/{each.name}": each for each in self._clusters.list()}
        found = {
            (each.location, each.name): self._hosted(link, each)
            for link, each in hosted.items()
            if each.fleet and link not in self._left
        }
        for key, each in self._added.items():
            missing = each.cluster not in hosted
            found[key] = Registration(
                each.location, each.name, each.cluster, each.labels, each.created, cluster_missing=missing
            )
        return [found[key] for key in sorted(found)]

    def find(self, location: str, name: str) -> Registration | None:
        """Give one membership."""
        return next((each for each in self.members() if (each.location, each.name) == (location, name)), None)

    def of_cluster(self, link: str) -> Registration | None:
        """Give the membership of a cluster."""
        return next((each for each in self.members() if each.cluster == link), None)

    def add(self, registration: Registration) -> None:
        """Register a cluster."""
        self._added[registration.location, registration.name] = registration
        self._left.discard(registration.cluster)

    def remove(self, registration: Registration) -> None:
        """Take a cluster out of the fleet; the cluster itself stays."""
        self._added.pop((registration.location, registration.name), None)
        self._left.add(registration.cluster)

    def forget(self, link: str) -> None:
        """Let a deleted cluster's own registration go; one that was made by hand stays, as a missing cluster."""
        own = tuple(link.split("/", 1))
        self._added.pop((own[0], own[1]), None)

    def keep_out(self, link: str) -> None:
        """Have a new cluster start outside the fleet."""
        self._left.add(link)

    def to_state(self) -> dict[str, Any]:
        """Give what must outlive the daemon."""
        added = [
            {
                "location": each.location,
                "name": each.name,
                "cluster": each.cluster,
                "labels": dict(each.labels),
                "created": each.created,
            }
            for each in self._added.values()
        ]
        return {"left": sorted(self._left), "added": added}

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._left = set(state.get("left", ()))
        self._added = {(each["location"], each["name"]): Registration(**each) for each in state.get("added", ())}

    def _hosted(self, link: str, cluster: HostedCluster) -> Registration:
        return Registration(cluster.location, cluster.name, link, created=cluster.created)
