"""The fleet's memberships: what container registers and gkehub lists, kept in one place.

A membership outlives its cluster, as on Google Cloud: it then says that its cluster is missing, until it is deleted.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from controlplane.localcloud.gcp.hosts import ClusterHost, HostedCluster

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Registration:
    """One membership: its id and location, and the cluster (LOCATION/NAME) that it registers.

    ready: when it is READY, as an ISO instant; before that it is being created. Empty: since ever.
    """

    location: str
    name: str
    cluster: str
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    created: str = ""
    ready: str = ""
    cluster_missing: bool = False


class Fleet:
    """The memberships of a project. The scenario's clusters are members from the start, until they are taken out."""

    def __init__(self, clusters: ClusterHost) -> None:
        self._clusters = clusters
        # Clusters whose membership is not there by itself: taken out, or made while the cloud ran.
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
                each.location, each.name, each.cluster, each.labels, each.created, each.ready, cluster_missing=missing
            )
        return [found[key] for key in sorted(found)]

    def links(self) -> set[str]:
        """Give the clusters that are there and in the fleet."""
        hosted = {f"{each.location}/{each.name}": each.fleet for each in self._clusters.list()}
        own = {link for link, fleet in hosted.items() if fleet and link not in self._left}
        return own | {each.cluster for each in self._added.values() if each.cluster in hosted}

    def find(self, location: str, name: str) -> Registration | None:
        """Give one membership."""
        return next((each for each in self.members() if (each.location, each.name) == (location, name)), None)

    def of_cluster(self, link: str) -> Registration | None:
        """Give the membership of a cluster."""
        return next((each for each in self.members() if each.cluster == link), None)

    def hosts(self, link: str) -> bool:
        """Say whether a cluster is there at all."""
        return any(f"{each.location}/{each.name}" == link for each in self._clusters.list())

    def add(self, registration: Registration) -> None:
        """Register a cluster."""
        self._added[registration.location, registration.name] = registration

    def add_own(self, link: str, created: str) -> None:
        """Register a new cluster as container does: in its region, under its name or, if that is taken, a longer."""
        if (before := self.of_cluster(link)) is not None:
            # The membership of a deleted cluster of this name: it has its cluster again.
            self.add(before)
            return
        location, name = link.split("/", 1)
        taken = self.find(location, name) is not None
        own = f"{name}-{hashlib.sha256(link.encode()).hexdigest()[:6]}" if taken else name
        self.add(Registration(location, own, link, created=created))

    def remove(self, registration: Registration) -> None:
        """Take a cluster out of the fleet; the cluster itself stays."""
        self._added.pop((registration.location, registration.name), None)
        self._left.add(registration.cluster)

    def orphan(self, link: str) -> None:
        """Keep a deleted cluster's membership, as one whose cluster is missing."""
        if (own := self.of_cluster(link)) is not None:
            self.add(own)
        self._left.add(link)

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
                "ready": each.ready,
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
