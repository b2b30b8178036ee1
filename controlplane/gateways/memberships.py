"""Fleet memberships that come and go: which there are, register a cluster, take it out of the fleet.

A cluster that is deleted while it is registered stays behind as a membership without a cluster, so it leaves the fleet
first. Names are `locations/REGION` now and were `locations/global`; both are read, and ours are regional.
Source: cloud.google.com/kubernetes-engine/fleet-management/docs/reference/rest/v1/projects.locations.memberships.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import AlreadyExists, Conflict, Gone
from controlplane.gateways.retrying import Retrying, guarded
from controlplane.model.growth import MembershipSeen
from controlplane.model.offering import ClusterRef

T = TypeVar("T")
CLUSTER_LINK = "//container.googleapis.com/projects/{project}/locations/{location}/clusters/{name}"


@dataclass(frozen=True, slots=True)
class MembershipListing:
    """All memberships of the project's fleet. unlisted: locations that could not be asked."""

    memberships: tuple[MembershipSeen, ...]
    unlisted: tuple[str, ...] = ()

    def of(self, ref: ClusterRef) -> MembershipSeen | None:
        """Give the membership that registers a cluster."""
        return next((each for each in self.memberships if each.cluster == ref), None)


class Memberships:
    """Creates and deletes memberships of one project's fleet. Every method raises GatewayError."""

    def __init__(self, access: GoogleAccess, *, retrying: Retrying, timeout: float) -> None:
        self._access, self._retrying, self._timeout = access, retrying, timeout
        self._client: Any = None

    def listing(self) -> MembershipListing:
        """List all memberships, old ones (`locations/global`) and regional ones."""
        return self._read(lambda: list_memberships(self._hub, self._project))

    def create(self, ref: ClusterRef, *, labels: Mapping[str, str] | None = None) -> str:
        """Register a cluster under its own name in its own region; give the operation's full name, or nothing.

        Nothing when it is registered already. Raises AlreadyExists when the name registers another cluster.
        """
        from google.cloud import gkehub_v1 as h

        link = CLUSTER_LINK.format(project=self._project, location=ref.location, name=ref.name)
        resource = h.Membership(
            endpoint=h.MembershipEndpoint(gke_cluster=h.GkeCluster(resource_link=link)), labels=dict(labels or {})
        )
        parent = f"projects/{self._project}/locations/{ref.region}"
        request = {"parent": parent, "membership_id": ref.name, "resource": resource}
        try:
            return str(self._write(lambda: self._hub("create_membership", request=request)).operation.name)
        except Conflict as error:
            found = self.listing().of(ref)
            if found is not None:
                return ""
            raise AlreadyExists(
                f"membership {parent}/memberships/{ref.name} registers another cluster; remove it, or choose another"
                " name in the Fleet's spec.members.name"
            ) from error

    def delete(self, name: str, ref: ClusterRef) -> str:
        """Take a cluster out of the fleet; the cluster stays. Gives the operation's full name, nothing when it is out.

        name: of the membership, in full. Raises Conflict when it does not register this cluster any more.
        """
        try:
            found = _membership(self._read(lambda: self._hub("get_membership", request={"name": name})))
        except Gone:
            return ""
        if found.cluster != ref:
            raise Conflict(f"membership {name} does not register {ref.link}; it is left alone")
        try:
            return str(self._write(lambda: self._hub("delete_membership", request={"name": name})).operation.name)
        except Gone:
            return ""

    @property
    def _project(self) -> str:
        return self._access.project.name

    def _read(self, call: Callable[[], T]) -> T:
        return self._retrying.read(call)

    def _write(self, call: Callable[[], T]) -> T:
        guarded(self._access.token, write=False)  # without a token nothing is sent, so that is never ambiguous
        return guarded(call, write=True)

    def _hub(self, method: str, **arguments: Any) -> Any:
        self._access.token()
        if self._client is None:
            from google.cloud.gkehub_v1 import GkeHubClient

            self._client = self._access.client("gkehub", GkeHubClient)
        return getattr(self._client, method)(**arguments, timeout=self._timeout, retry=None)


def list_memberships(hub: Callable[..., Any], project: str) -> MembershipListing:
    """List all memberships of a project's fleet. hub: calls a method of the client by its name."""
    found: list[MembershipSeen] = []
    unlisted: set[str] = set()
    # The pager shows what was unreachable of its present page only, so every page is looked at.
    for page in hub("list_memberships", parent=f"projects/{project}/locations/-").pages:
        found += [_membership(each) for each in page.resources]
        unlisted |= {str(place).rpartition("/")[2] for place in page.unreachable}
    return MembershipListing(tuple(found), tuple(sorted(unlisted)))


def _membership(found: Any) -> MembershipSeen:
    gke = found.endpoint.gke_cluster
    return MembershipSeen(
        name=str(found.name),
        cluster=cluster_of(str(gke.resource_link)),
        cluster_missing=bool(gke.cluster_missing),
        state=found.state.code.name,
    )


def cluster_of(link: str) -> ClusterRef | None:
    """Read `//container.googleapis.com/projects/P/locations/L/clusters/C`, older ones say `zones`; None for others."""
    parts = link.removeprefix("//container.googleapis.com/").split("/")
    if len(parts) != 6 or parts[2] not in ("locations", "zones") or parts[4] != "clusters":
        return None
    return ClusterRef(parts[3], parts[5])
