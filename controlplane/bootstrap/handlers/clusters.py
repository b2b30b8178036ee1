"""Clusters and their memberships in the fleet."""

from typing import TYPE_CHECKING

from controlplane.bootstrap.values import LABEL, OURS, Cluster, Operation, Part, Registration, Seen, State, thing
from controlplane.model.growth import ON_DEMAND, ClusterSeen
from controlplane.model.offering import ClusterRef

if TYPE_CHECKING:
    from controlplane.gateways.memberships import Memberships
    from controlplane.gateways.provisioning import Provisioning

_USABLE = ("RUNNING", "RECONCILING", "DEGRADED")
"""A degraded cluster still holds what it held, so it is emptied before it goes."""


class Clusters:
    """Autopilot clusters that carry our label."""

    def __init__(self, provisioning: "Provisioning") -> None:
        self._provisioning = provisioning

    def look(self, part: Part) -> Seen:
        """Look whose the cluster of that name is, and how far."""
        wanted = thing(part, Cluster)
        found = self._provisioning.cluster(wanted.ref)
        if found is None:
            return Seen(State.ABSENT)
        uid = {"uid": found.uid}
        if found.labels.get(LABEL) != wanted.labels[LABEL]:
            return Seen(State.TAKEN, "a cluster of that name is there already", uid, hand_over(wanted))
        return _stand(found, wanted, uid)

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Ask for it."""
        from controlplane.gateways.provisioning import NewCluster

        del seen
        wanted = thing(part, Cluster)
        name = self._provisioning.create_cluster(NewCluster(wanted.ref, wanted.labels))
        return cluster_operation(wanted.project, wanted.ref, name)

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Ask for it to be deleted, if it is the very one that was seen and carries our label."""
        wanted, uid = thing(part, Cluster), str(seen.found.get("uid", ""))
        name = self._provisioning.delete_cluster(wanted.ref, uid=uid, labels={LABEL: wanted.labels[LABEL]})
        return cluster_operation(wanted.project, wanted.ref, name)


class Registrations:
    """Memberships of clusters; one that a cluster got as it was made is as good as one that we make."""

    def __init__(self, memberships: "Memberships", provisioning: "Provisioning") -> None:
        self._memberships, self._provisioning = memberships, provisioning

    def look(self, part: Part) -> Seen:
        """Look for the membership that registers the cluster."""
        wanted = thing(part, Registration)
        listing = self._memberships.listing()
        found = listing.of(wanted.ref)
        if found is None:
            if listing.unlisted:
                return Seen(State.UNKNOWN, f"memberships of {', '.join(listing.unlisted)} could not be listed")
            return Seen(State.ABSENT)
        seen, cluster = {"name": found.name}, self._provisioning.cluster(wanted.ref)
        ours = cluster is None or cluster.labels.get(LABEL) in (OURS, ON_DEMAND)
        if found.state in ("CREATING", "DELETING", "UPDATING", "SERVICE_UPDATING"):
            return Seen(State.GOING, found.state.lower(), seen, ours=ours)
        return Seen(State.PRESENT, found=seen, ours=ours)

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Register the cluster."""
        del seen
        name = self._memberships.create(thing(part, Registration).ref, labels={LABEL: OURS})
        return Operation("gkehub", f"/v1/{name}") if name else None

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Take the cluster out of the fleet."""
        name = self._memberships.delete(str(seen.found["name"]), thing(part, Registration).ref)
        return Operation("gkehub", f"/v1/{name}") if name else None


def cluster_operation(project: str, ref: ClusterRef, name: str) -> Operation | None:
    """Give the operation of the GKE API of this name; None for no name."""
    return (
        Operation("container", f"/v1/projects/{project}/locations/{ref.location}/operations/{name}") if name else None
    )


def hand_over(wanted: Cluster) -> str:
    """Say what to do when a name is taken."""
    ref = wanted.ref
    command = (
        f"gcloud container clusters update {ref.name} --location={ref.location} --project={wanted.project}"
        f" --update-labels={LABEL}={OURS}"
    )
    return f"take another name in the Fleet (configCluster, members.name), or hand it over: `{command}`"


def _stand(found: ClusterSeen, wanted: Cluster, uid: dict[str, str]) -> Seen:
    if found.status == "ERROR":
        delete = (
            f"gcloud container clusters delete {wanted.ref.name} --location={wanted.ref.location}"
            f" --project={wanted.project}"
        )
        remedy = f"mend the cause, delete it (`{delete}`), and run this again"
        return Seen(State.FAILED, found.message or "its creation failed", uid, remedy)
    if found.status not in _USABLE:
        return Seen(State.GOING, found.status.lower(), uid)
    if lacking := [key for key, value in wanted.labels.items() if found.labels.get(key) != value]:
        return Seen(State.DIFFERS, f"it lacks the labels {', '.join(sorted(lacking))}", uid, _relabel(wanted))
    return Seen(State.PRESENT, found.version, uid)


def _relabel(wanted: Cluster) -> str:
    told = ",".join(f"{key}={value}" for key, value in sorted(wanted.labels.items()))
    command = f"gcloud container clusters update {wanted.ref.name} --location={wanted.ref.location}"
    return f"give it those of the Fleet: `{command} --project={wanted.project} --update-labels={told}`"
