"""Clusters that come and go: ask for one, look how far it is, take it away.

Nothing here waits. Creating a cluster takes five to ten minutes, longer than a pass, so every write gives the name of
its operation and the caller looks again later. Every write can be repeated: creating what is there already is fine
when it is ours, and deleting looks at id and labels right before, as the GKE API knows no precondition for it.
Source: cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import AlreadyExists, Conflict, Gone
from controlplane.gateways.retrying import Retrying, guarded
from controlplane.gateways.sanitise import sanitise
from controlplane.model.growth import ClusterSeen, OperationSeen, Progress
from controlplane.model.offering import ClusterRef

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewCluster:
    """An Autopilot cluster that is to be. `labels` make it known again as ours; `fleet` registers it as it is made.

    dns_endpoint: may its DNS endpoint be reached from outside, as the reconciler's job does.
    network, subnetwork: empty means the project's default ones.
    """

    ref: ClusterRef
    labels: Mapping[str, str]
    fleet: bool = True
    dns_endpoint: bool = True
    network: str = ""
    subnetwork: str = ""


@dataclass(frozen=True, slots=True)
class ClusterListing:
    """All clusters of the project, members or not. unlisted: locations that could not be asked."""

    clusters: Mapping[ClusterRef, ClusterSeen]
    unlisted: tuple[str, ...] = ()


class Provisioning:
    """Creates and deletes clusters of one project. Every method raises GatewayError."""

    def __init__(self, access: GoogleAccess, *, retrying: Retrying, timeout: float) -> None:
        self._access, self._retrying, self._timeout = access, retrying, timeout
        self._client: Any = None

    def clusters(self) -> ClusterListing:
        """List all clusters, in every location."""
        parent = f"projects/{self._project}/locations/-"
        answer = self._read(lambda: self._container("list_clusters", parent=parent))
        found = {ClusterRef(each.location, each.name): each for each in answer.clusters}
        return ClusterListing(
            clusters={ref: _cluster(ref, each) for ref, each in sorted(found.items())},
            unlisted=tuple(sorted(str(zone) for zone in answer.missing_zones)),
        )

    def cluster(self, ref: ClusterRef) -> ClusterSeen | None:
        """Look at one cluster; None when there is none of that name."""
        try:
            return _cluster(ref, self._read(lambda: self._container("get_cluster", name=self._cluster_name(ref))))
        except Gone:
            return None

    def create_cluster(self, new: NewCluster) -> str:
        """Ask for a cluster; give the operation's name, or nothing when it is there already and carries our labels.

        Raises AlreadyExists when a cluster of that name is somebody else's.
        """
        from google.cloud import container_v1 as k

        config = k.ControlPlaneEndpointsConfig
        wanted = k.Cluster(
            name=new.ref.name,
            autopilot=k.Autopilot(enabled=True),
            release_channel=k.ReleaseChannel(channel=k.ReleaseChannel.Channel.REGULAR),
            resource_labels=dict(new.labels),
            network=new.network,
            subnetwork=new.subnetwork,
            control_plane_endpoints_config=config(
                dns_endpoint_config=config.DNSEndpointConfig(allow_external_traffic=new.dns_endpoint)
            ),
        )
        if new.fleet:
            wanted.fleet = k.Fleet(project=self._project)
        parent = f"projects/{self._project}/locations/{new.ref.location}"
        try:
            operation = self._write(lambda: self._container("create_cluster", parent=parent, cluster=wanted))
        except Conflict as error:
            found = self.cluster(new.ref)
            if found is None:
                raise
            if carries(found.labels, new.labels):
                return ""
            raise AlreadyExists(
                f"cluster {new.ref.link} is there already and is not ours (it lacks"
                f" {_lacking(found.labels, new.labels)}); choose another name in the Fleet's spec.members.name"
            ) from error
        return str(operation.name)

    def delete_cluster(self, ref: ClusterRef, *, uid: str, labels: Mapping[str, str]) -> str:
        """Ask for a cluster to be deleted if it is the very one that was seen and carries these labels.

        Gives the operation's name; nothing when it is gone, or going already. Raises Conflict when it is another one.
        """
        found = self.cluster(ref)
        if found is None or found.status == "STOPPING":
            return ""
        if found.uid != uid:
            raise Conflict(f"cluster {ref.link} is not the one that was seen: it was made anew; it is left alone")
        if not carries(found.labels, labels):
            raise Conflict(f"cluster {ref.link} lacks {_lacking(found.labels, labels)}: it is not ours and left alone")
        name = self._cluster_name(ref)
        try:
            return str(self._write(lambda: self._container("delete_cluster", name=name)).name)
        except Gone:
            return ""

    def operation(self, location: str, name: str) -> OperationSeen:
        """Look how far an operation of the GKE API is."""
        path = f"projects/{self._project}/locations/{location}/operations/{name}"
        try:
            found = self._read(lambda: self._container("get_operation", name=path))
        except Gone:
            return OperationSeen(Progress.GONE)
        if found.status.name not in ("DONE", "ABORTING"):
            return OperationSeen(Progress.RUNNING)
        told = [found.error.message, *(condition.message for condition in found.cluster_conditions)]
        message = next((text for text in told if text), "")
        failed = bool(message or found.error.code) or found.status.name == "ABORTING"
        return OperationSeen(Progress.FAILED if failed else Progress.DONE, sanitise(message, 300))

    @property
    def _project(self) -> str:
        return self._access.project.name

    def _cluster_name(self, ref: ClusterRef) -> str:
        return f"projects/{self._project}/locations/{ref.location}/clusters/{ref.name}"

    def _read(self, call: Callable[[], T]) -> T:
        return self._retrying.read(call)

    def _write(self, call: Callable[[], T]) -> T:
        guarded(self._access.token, write=False)  # without a token nothing is sent, so that is never ambiguous
        return guarded(call, write=True)

    def _container(self, method: str, **arguments: Any) -> Any:
        return getattr(self._opened(), method)(**arguments, timeout=self._timeout, retry=None)

    def _opened(self) -> Any:
        self._access.token()
        if self._client is None:
            from google.cloud.container_v1 import ClusterManagerClient

            self._client = self._access.client("container", ClusterManagerClient)
        return self._client


def carries(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Say whether all wanted labels are there; no labels at all prove nothing and are never enough."""
    return bool(wanted) and all(found.get(key) == value for key, value in wanted.items())


def _lacking(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    missing = [f"{key}={value}" for key, value in sorted(wanted.items()) if found.get(key) != value]
    return f"label {', '.join(missing) or '(none given)'}"


def _cluster(ref: ClusterRef, cluster: Any) -> ClusterSeen:
    told = [condition.message for condition in cluster.conditions]
    message = next((text for text in (*told, cluster.status_message) if text), "")
    return ClusterSeen(
        ref=ref,
        uid=str(cluster.id),
        status=cluster.status.name,
        labels=dict(cluster.resource_labels),
        autopilot=bool(cluster.autopilot.enabled),
        membership=str(cluster.fleet.membership).removeprefix("//gkehub.googleapis.com/"),
        message=sanitise(message, 300),
        version=str(cluster.current_master_version),
        reachable=bool(cluster.endpoint or cluster.control_plane_endpoints_config.dns_endpoint_config.endpoint),
    )
