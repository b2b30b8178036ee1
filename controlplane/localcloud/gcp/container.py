"""google.container.v1.ClusterManager: clusters and their operations.

Clusters come and go at run time: `lifecycle` makes and deletes them through the host, `described` says what they look
like. What Google Cloud refuses at once is refused here: taken names, quota, a cluster that is busy.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from google.cloud.container_v1.types import cluster_service as k

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.faults import FaultBook
from controlplane.localcloud.gcp.described import NAME, Access, Describer
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.fleet import Fleet
from controlplane.localcloud.gcp.hosts import ClusterHost, HostedCluster
from controlplane.localcloud.gcp.lifecycle import Lifecycle
from controlplane.localcloud.gcp.operations import Operations
from controlplane.localcloud.gcp.project import Place, Project

Handler: TypeAlias = Callable[[Any], Awaitable[Any]]

SERVICE = "/google.container.v1.ClusterManager/"
_STOCKOUT = (
    "Google Compute Engine does not have enough resources available to fulfill request: {location}. "
    "Try a different location, or try again later."
)


class ContainerApi:
    """Serves what the host has, and makes and deletes clusters through it."""

    def __init__(
        self,
        project: Project,
        clock: Clock,
        clusters: ClusterHost,
        fleet: Fleet,
        *,
        faults: FaultBook,
        creation_seconds: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._project = project
        self._host = clusters
        self._faults = faults
        self._operations = Operations(project, clock)
        self._life = Lifecycle(
            clusters, fleet, self._operations, clock, creation_seconds=creation_seconds, changed=changed
        )
        self._labels: dict[str, dict[str, str]] = {}
        self._access: dict[str, Access] = {}
        self._describer = Describer(project, fleet)

    def handlers(self) -> dict[str, Handler]:
        """Give the methods that are implemented, by their path."""
        return {
            SERVICE + "ListClusters": self._list,
            SERVICE + "GetCluster": self._get,
            SERVICE + "CreateCluster": self._create,
            SERVICE + "DeleteCluster": self._delete,
            SERVICE + "UpdateCluster": self._update,
            SERVICE + "SetLabels": self._set_labels,
            SERVICE + "ListOperations": self._operations.list_operations,
            SERVICE + "GetOperation": self._operations.get_operation,
            SERVICE + "GetServerConfig": self._server_config,
        }

    def has_operation(self, name: str) -> bool:
        """Say whether an operation is one of this API's."""
        return self._operations.has(name)

    def access(self, link: str) -> Access:
        """Give the ways that lead to a cluster's API server."""
        return self._access.get(link, Access())

    def clusters(self) -> list[k.Cluster]:
        """Describe all clusters, those that come, go or failed included, by name and place."""
        hosted = {f"{each.location}/{each.name}": each for each in self._host.list()}
        described = [self._describe(link, each) for link, each in hosted.items() if link not in self._life.births]
        described += [
            self._describer.unborn(birth, self.access(birth.link), self._labels.get(birth.link, birth.labels))
            for birth in self._life.births.values()
        ]
        return sorted(described, key=lambda each: (each.name, each.location))

    async def close(self) -> None:
        """Leave what is under way for the next daemon."""
        await self._life.close()

    def to_state(self) -> dict[str, Any]:
        """Give what must outlive the daemon."""
        return {
            "labels": self._labels,
            "access": {link: access.to_state() for link, access in self._access.items()},
            "operations": self._operations.to_state(),
            **self._life.to_state(),
        }

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left, and go on with what was under way."""
        self._labels = {link: dict(labels) for link, labels in state.get("labels", {}).items()}
        self._access = {link: Access(**access) for link, access in state.get("access", {}).items()}
        self._operations.from_state(state.get("operations", ()))
        self._life.from_state(state, self._forget)

    # -- methods ---------------------------------------------------------------------------------------------------

    async def _list(self, request: k.ListClustersRequest) -> k.ListClustersResponse:
        parent = request.parent or f"projects/{request.project_id}/locations/{request.zone or '-'}"
        place = self._project.place(parent, "container.clusters.list")
        self._project.check_up(place.location)
        clusters = [each for each in self.clusters() if place.location in ("-", each.location)]
        # A region that does not answer is left out and named, so that a partial list can be told from a whole one.
        missing = {each.location for each in clusters if self._project.is_missing(each.location)}
        return k.ListClustersResponse(
            clusters=[each for each in clusters if each.location not in missing], missing_zones=sorted(missing)
        )

    async def _get(self, request: k.GetClusterRequest) -> k.Cluster:
        place = self._cluster_place(request, "container.clusters.get")
        return self._find(place)

    async def _create(self, request: k.CreateClusterRequest) -> k.Operation:
        parent: str = request.parent or f"projects/{request.project_id}/locations/{request.zone}"
        place = self._project.place(parent, "container.clusters.create")
        wanted = request.cluster
        self._check_new(place, wanted)
        link = f"{place.location}/{wanted.name}"
        if self._faults.take("cluster-quota", link):
            raise self._over_quota()
        dooms = _STOCKOUT.format(location=place.location) if self._faults.take("cluster-error", link) else ""
        self._labels[link] = dict(wanted.resource_labels)
        self._access[link] = Access.asked(wanted.control_plane_endpoints_config)
        return self._life.create(link, self._labels[link], fleet=bool(wanted.fleet.project), dooms=dooms)

    async def _delete(self, request: k.DeleteClusterRequest) -> k.Operation:
        cluster = self._find(self._cluster_place(request, "container.clusters.delete"))
        link = self._idle(cluster)
        return self._life.delete(link, self._forget)

    async def _update(self, request: k.UpdateClusterRequest) -> k.Operation:
        cluster = self._find(self._cluster_place(request, "container.clusters.update"))
        link = self._idle(cluster)
        config = request.update.desired_control_plane_endpoints_config
        if not k.ClusterUpdate.pb(request.update).HasField("desired_control_plane_endpoints_config"):
            raise GoogleError("UNIMPLEMENTED", "The local cloud updates a cluster's control plane endpoints only.")
        self._access[link] = self.access(link).changed(config)
        operation = self._operations.begin(k.Operation.Type.UPDATE_CLUSTER, link)
        self._operations.finish(operation.name)
        return operation

    async def _set_labels(self, request: k.SetLabelsRequest) -> k.Operation:
        cluster = self._find(self._cluster_place(request, "container.clusters.update"))
        if request.label_fingerprint != cluster.label_fingerprint:
            raise GoogleError("FAILED_PRECONDITION", "Labels could not be set due to fingerprint mismatch.")
        link = self._idle(cluster)
        self._labels[link] = dict(request.resource_labels)
        operation = self._operations.begin(k.Operation.Type.SET_LABELS, link)
        self._operations.finish(operation.name)
        return operation

    async def _server_config(self, request: k.GetServerConfigRequest) -> k.ServerConfig:
        name = request.name or f"projects/{request.project_id}/locations/{request.zone}"
        place = self._project.place(name.removesuffix("/serverConfig"), "container.clusters.list")
        self._project.check_up(place.location)
        version = HostedCluster("", "", "", "").version
        return k.ServerConfig(
            default_cluster_version=version, valid_master_versions=[version], valid_node_versions=[version]
        )

    # -- parts -----------------------------------------------------------------------------------------------------

    def _check_new(self, place: Place, wanted: k.Cluster) -> None:
        if not NAME.fullmatch(wanted.name):
            raise invalid(f'Invalid value for field "cluster.name": "{wanted.name}" is not a valid cluster name.')
        if not self._project.knows(place.location):
            raise invalid(f'Location "{place.location}" does not exist.')
        if not wanted.autopilot.enabled:
            raise invalid("The local cloud runs Autopilot clusters only: set cluster.autopilot.enabled.")
        if place.location.count("-") > 1:
            raise invalid("Autopilot clusters must be regional clusters.")
        if wanted.fleet.project not in ("", self._project.name, str(self._project.number)):
            raise invalid(f'Fleet project "{wanted.fleet.project}" is not the project of the local cloud.')
        self._project.check_up(place.location)
        if any((each.location, each.name) == (place.location, wanted.name) for each in self.clusters()):
            path = f"projects/{self._project.name}/locations/{place.location}/clusters/{wanted.name}"
            raise GoogleError("ALREADY_EXISTS", f"Already exists: {path}.")

    def _over_quota(self) -> GoogleError:
        # Google answers with 403 and not 429.
        return GoogleError(
            "PERMISSION_DENIED",
            'Insufficient regional quota to satisfy request: resource "SSD_TOTAL_GB": '
            "request requires '300.0' and is short '50.0'. project has a quota of '250.0' with '250.0' available. "
            "View and manage quotas at "
            f"https://console.cloud.google.com/iam-admin/quotas?usage=USED&project={self._project.name}.",
        )

    def _idle(self, cluster: k.Cluster) -> str:
        """Give a cluster's link; one that is under another operation takes no second one."""
        link = f"{cluster.location}/{cluster.name}"
        if (operation := self._life.busy(link)) is not None:
            raise GoogleError("FAILED_PRECONDITION", f"Cluster is running incompatible operation {operation}.")
        return link

    def _find(self, place: Place) -> k.Cluster:
        self._project.check_up(place.location)
        for each in self.clusters():
            if (each.location, each.name) == (place.location, place.id):
                return each
        path = f"projects/{self._project.name}/locations/{place.location}/clusters/{place.id}"
        raise not_found(f"Not found: {path}.")

    def _describe(self, link: str, hosted: HostedCluster) -> k.Cluster:
        status = "STOPPING" if link in self._life.leaving else hosted.status
        labels = self._labels.get(link, dict(hosted.labels))
        return self._describer.hosted(link, hosted, status, labels, self.access(link))

    def _cluster_place(self, request: Any, permission: str) -> Place:
        name = request.name or f"projects/{request.project_id}/locations/{request.zone}/clusters/{request.cluster_id}"
        return self._project.place(name, permission)

    def _forget(self, link: str) -> None:
        self._labels.pop(link, None)
        self._access.pop(link, None)
