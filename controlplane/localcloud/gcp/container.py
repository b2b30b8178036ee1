"""google.container.v1.ClusterManager: clusters and their operations."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.cloud.container_v1.types import cluster_service as k

from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.fleet import Fleet, Registration
from controlplane.localcloud.gcp.hosts import ClusterHost, HostedCluster
from controlplane.localcloud.gcp.operations import ROOT, Operations
from controlplane.localcloud.gcp.project import Place, Project

Handler: TypeAlias = Callable[[Any], Awaitable[Any]]

SERVICE = "/google.container.v1.ClusterManager/"
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")


@dataclass
class _Birth:
    """A cluster that is being made; the host does not know it yet."""

    cluster: k.Cluster
    failed: str = ""


class ContainerApi:
    """Serves what the host has, and makes and deletes clusters through it."""

    def __init__(self, project: Project, clock: Clock, clusters: ClusterHost, fleet: Fleet) -> None:
        self._project = project
        self._clock = clock
        self._host = clusters
        self._fleet = fleet
        self._births: dict[str, _Birth] = {}
        self._leaving: set[str] = set()
        self._operations = Operations(project, clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self.labels: dict[str, dict[str, str]] = {}

    def handlers(self) -> dict[str, Handler]:
        """Give the methods that are implemented, by their path."""
        return {
            SERVICE + "ListClusters": self._list,
            SERVICE + "GetCluster": self._get,
            SERVICE + "CreateCluster": self._create,
            SERVICE + "DeleteCluster": self._delete,
            SERVICE + "SetLabels": self._set_labels,
            SERVICE + "ListOperations": self._operations.list_operations,
            SERVICE + "GetOperation": self._operations.get_operation,
            SERVICE + "GetServerConfig": self._server_config,
        }

    def has_operation(self, name: str) -> bool:
        """Say whether an operation is one of this API's."""
        return self._operations.has(name)

    async def close(self) -> None:
        """Stop what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- clusters --------------------------------------------------------------------------------------------------

    async def _list(self, request: k.ListClustersRequest) -> k.ListClustersResponse:
        parent = request.parent or f"projects/{request.project_id}/locations/{request.zone or '-'}"
        place = self._project.place(parent, "container.clusters.list")
        self._project.check_up(place.location)
        clusters = [each for each in self._clusters() if place.location in ("-", each.location)]
        # A region that does not answer is left out and named, so that a partial list can be told from a whole one.
        missing = {each.location for each in clusters if self._project.is_missing(each.location)}
        return k.ListClustersResponse(
            clusters=[each for each in clusters if each.location not in missing], missing_zones=sorted(missing)
        )

    async def _get(self, request: k.GetClusterRequest) -> k.Cluster:
        place = self._cluster_place(request, "container.clusters.get")
        return self._find(place)

    async def _create(self, request: k.CreateClusterRequest) -> k.Operation:
        place = self._project.place(_parent(request), "container.clusters.create")
        wanted = request.cluster
        self._check_new(place, wanted)
        link = f"{place.location}/{wanted.name}"
        born = k.Cluster(wanted)
        born.location = born.zone = place.location
        born.status = k.Cluster.Status.PROVISIONING
        born.create_time = rfc3339(self._clock.now())
        born.self_link = self._self_link(link)
        self.labels[link] = dict(wanted.resource_labels)
        if wanted.fleet.project:
            created = rfc3339(self._clock.now())
            self._fleet.add(Registration(place.location, wanted.name, link, created=created))
        else:
            self._fleet.keep_out(link)
        self._births[link] = _Birth(born)
        operation = self._operations.begin(k.Operation.Type.CREATE_CLUSTER, link)
        self._spawn(self._give_birth(link, operation))
        return operation

    async def _delete(self, request: k.DeleteClusterRequest) -> k.Operation:
        place = self._cluster_place(request, "container.clusters.delete")
        cluster = self._find(place)
        link = f"{cluster.location}/{cluster.name}"
        birth = self._births.get(link)
        if birth is not None and birth.failed:
            del self._births[link]
            operation = self._operations.begin(k.Operation.Type.DELETE_CLUSTER, link)
            self._operations.finish(operation)
            return operation
        if link in self._leaving or birth is not None:
            raise GoogleError("FAILED_PRECONDITION", f"Cluster {cluster.name} has an operation in progress.")
        self._leaving.add(link)
        operation = self._operations.begin(k.Operation.Type.DELETE_CLUSTER, link)
        self._spawn(self._bury(link, operation))
        return operation

    async def _set_labels(self, request: k.SetLabelsRequest) -> k.Operation:
        place = self._cluster_place(request, "container.clusters.update")
        cluster = self._find(place)
        if request.label_fingerprint != cluster.label_fingerprint:
            raise GoogleError("FAILED_PRECONDITION", "Labels could not be set due to fingerprint mismatch.")
        link = f"{cluster.location}/{cluster.name}"
        self.labels[link] = dict(request.resource_labels)
        operation = self._operations.begin(k.Operation.Type.SET_LABELS, link)
        self._operations.finish(operation)
        return operation

    def _check_new(self, place: Place, wanted: k.Cluster) -> None:
        if not _NAME.fullmatch(wanted.name):
            raise invalid(f'Invalid value for field "cluster.name": "{wanted.name}" is not a valid cluster name.')
        if not self._project.knows(place.location):
            raise invalid(f'Location "{place.location}" does not exist.')
        if not wanted.autopilot.enabled:
            raise invalid("The local cloud runs Autopilot clusters only: set cluster.autopilot.enabled.")
        if place.location.count("-") > 1:
            raise invalid("Autopilot clusters must be regional clusters.")
        self._project.check_up(place.location)
        if any((each.location, each.name) == (place.location, wanted.name) for each in self._clusters()):
            path = f"projects/{self._project.name}/locations/{place.location}/clusters/{wanted.name}"
            raise GoogleError("ALREADY_EXISTS", f"Already exists: {path}.")

    async def _give_birth(self, link: str, operation: k.Operation) -> None:
        location, name = link.split("/", 1)
        try:
            await self._host.create(name, location, self.labels[link])
        except Exception as error:  # noqa: BLE001 - whatever the host cannot do is the operation's error
            birth = self._births[link]
            birth.failed = str(error)
            birth.cluster.status = k.Cluster.Status.ERROR
            birth.cluster.status_message = str(error)
            self._operations.finish(operation, str(error))
            return
        del self._births[link]
        self._operations.finish(operation)

    async def _bury(self, link: str, operation: k.Operation) -> None:
        location, name = link.split("/", 1)
        try:
            await self._host.delete(name, location)
        except Exception as error:  # noqa: BLE001 - whatever the host cannot do is the operation's error
            self._operations.finish(operation, str(error))
            return
        finally:
            self._leaving.discard(link)
        self.labels.pop(link, None)
        self._fleet.forget(link)
        self._operations.finish(operation)

    def _clusters(self) -> list[k.Cluster]:
        hosted = {f"{each.location}/{each.name}": each for each in self._host.list()}
        described = [self._describe(link, each) for link, each in hosted.items() if link not in self._births]
        described += [birth.cluster for birth in self._births.values()]
        return sorted(described, key=lambda each: (each.name, each.location))

    def _find(self, place: Place) -> k.Cluster:
        self._project.check_up(place.location)
        for each in self._clusters():
            if (each.location, each.name) == (place.location, place.id):
                return each
        path = f"projects/{self._project.name}/locations/{place.location}/clusters/{place.id}"
        raise not_found(f"Not found: {path}.")

    def _describe(self, link: str, hosted: HostedCluster) -> k.Cluster:
        labels = self.labels.get(link, dict(hosted.labels))
        status = "STOPPING" if link in self._leaving else hosted.status
        member = self._fleet.of_cluster(link)
        address = hosted.endpoint.rpartition(":")[0]
        cluster = k.Cluster(
            name=hosted.name,
            location=hosted.location,
            zone=hosted.location,
            locations=list(self._zones(link, hosted.location)),
            status=k.Cluster.Status[status],
            endpoint=hosted.endpoint,
            master_auth=k.MasterAuth(cluster_ca_certificate=base64.b64encode(hosted.ca_pem.encode()).decode()),
            autopilot=k.Autopilot(enabled=True),
            resource_labels=labels,
            label_fingerprint=_fingerprint(labels),
            self_link=self._self_link(link),
            create_time=hosted.created,
            initial_cluster_version=hosted.version,
            current_master_version=hosted.version,
            current_node_version=hosted.version,
            release_channel=k.ReleaseChannel(channel=k.ReleaseChannel.Channel.REGULAR),
            network="default",
            subnetwork="default",
            id=_fingerprint({"cluster": link}) * 8,
            workload_identity_config=k.WorkloadIdentityConfig(workload_pool=f"{self._project.name}.svc.id.goog"),
            # No DNS endpoint: there is no public certificate for a machine of one's own.
            control_plane_endpoints_config=k.ControlPlaneEndpointsConfig(
                ip_endpoints_config=k.ControlPlaneEndpointsConfig.IPEndpointsConfig(
                    enabled=True, public_endpoint=address
                )
            ),
        )
        if member is not None:
            path = f"projects/{self._project.number}/locations/{member.location}/memberships/{member.name}"
            cluster.fleet = k.Fleet(
                project=str(self._project.number), membership=f"//gkehub.googleapis.com/{path}", pre_registered=True
            )
        return cluster

    def _zones(self, link: str, location: str) -> tuple[str, ...]:
        known = next((each.zones for each in self._project.scenario.all_clusters if each.link == link), ())
        return known or self._project.scenario.zones_of(location)

    def _cluster_place(self, request: Any, permission: str) -> Place:
        name = request.name or f"projects/{request.project_id}/locations/{request.zone}/clusters/{request.cluster_id}"
        return self._project.place(name, permission)

    def _self_link(self, link: str) -> str:
        location, name = link.split("/", 1)
        return f"{ROOT}/projects/{self._project.name}/locations/{location}/clusters/{name}"

    async def _server_config(self, request: k.GetServerConfigRequest) -> k.ServerConfig:
        name = request.name or f"projects/{request.project_id}/locations/{request.zone}"
        place = self._project.place(name.removesuffix("/serverConfig"), "container.clusters.list")
        self._project.check_up(place.location)
        version = HostedCluster("", "", "", "").version
        return k.ServerConfig(
            default_cluster_version=version, valid_master_versions=[version], valid_node_versions=[version]
        )

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _parent(request: k.CreateClusterRequest) -> str:
    parent: str = request.parent or f"projects/{request.project_id}/locations/{request.zone}"
    return parent


def _fingerprint(labels: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(labels.items())).encode()).hexdigest()[:8]
