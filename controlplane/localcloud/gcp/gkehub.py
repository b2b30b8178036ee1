"""google.cloud.gkehub.v1.GkeHub: memberships; the features and the long-running operations beside them."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from google.cloud.gkehub_v1.types import membership as m
from google.cloud.gkehub_v1.types import service as s
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.features import SERVICE, Features
from controlplane.localcloud.gcp.fleet import Fleet, Registration
from controlplane.localcloud.gcp.hub_operations import HubOperations
from controlplane.localcloud.gcp.project import Place, Project

Handler: TypeAlias = Callable[[Any], Awaitable[Any]]

GET_OPERATION = "/google.longrunning.Operations/GetOperation"
_CLUSTER_LINK = "//container.googleapis.com/projects/{project}/locations/{location}/clusters/{name}"
_SINCE_EVER = "2026-01-01T00:00:00Z"


class GkeHubApi:
    """Serves the fleet."""

    def __init__(self, project: Project, clock: Clock, fleet: Fleet, *, seconds: Callable[[], float]) -> None:
        self._project = project
        self._clock = clock
        self._fleet = fleet
        self._operations = HubOperations(project, clock, seconds)
        self.features = Features(project, clock, fleet, self._operations)

    def handlers(self) -> dict[str, Handler]:
        """Give the methods that are implemented, by their path."""
        return {
            SERVICE + "ListMemberships": self._list,
            SERVICE + "GetMembership": self._get,
            SERVICE + "CreateMembership": self._create,
            SERVICE + "UpdateMembership": self._update,
            SERVICE + "DeleteMembership": self._delete,
            **self.features.handlers(),
        }

    def operation(self, name: str) -> operations_pb2.Operation:
        """Give a long-running operation by its full name."""
        return self._operations.get(name)

    def to_state(self) -> dict[str, Any]:
        """Give what must outlive the daemon."""
        return {"features": self.features.to_state(), "hub_operations": self._operations.to_state()}

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        if "features" in state:
            self.features.from_state(state["features"])
        self._operations.from_state(state.get("hub_operations", ()))

    # -- memberships -----------------------------------------------------------------------------------------------

    async def _list(self, request: s.ListMembershipsRequest) -> s.ListMembershipsResponse:
        place = self._project.place(request.parent, "gkehub.memberships.list")
        self._project.check_up(place.location)
        found = [each for each in self._fleet.members() if place.location in ("-", each.location)]
        unreachable = {each.location for each in found if self._project.is_missing(each.location)}
        found = [each for each in found if each.location not in unreachable]
        start = _offset(request.page_token)
        size = request.page_size or 500
        return s.ListMembershipsResponse(
            resources=[self._membership(each) for each in found[start : start + size]],
            next_page_token=str(start + size) if start + size < len(found) else "",
            unreachable=sorted(unreachable),
        )

    async def _get(self, request: s.GetMembershipRequest) -> m.Membership:
        place = self._project.place(request.name, "gkehub.memberships.get")
        return self._membership(self._find(place, request.name))

    async def _create(self, request: s.CreateMembershipRequest) -> operations_pb2.Operation:
        place = self._project.place(request.parent, "gkehub.memberships.create")
        self._project.check_up(place.location)
        name = f"{request.parent}/memberships/{request.membership_id}"
        if not request.membership_id:
            raise invalid("membership_id must not be empty")
        if self._fleet.find(place.location, request.membership_id) is not None:
            raise GoogleError("ALREADY_EXISTS", f"Resource '{name}' already exists")
        registration = Registration(
            place.location,
            request.membership_id,
            self._cluster_to_register(request.resource),
            dict(request.resource.labels),
            rfc3339(self._clock.now()),
            self._operations.due().isoformat(),
        )
        self._fleet.add(registration)
        return self._begin(place, name, "create", self._membership(registration, ready=True))

    async def _update(self, request: s.UpdateMembershipRequest) -> operations_pb2.Operation:
        place = self._project.place(request.name, "gkehub.memberships.update")
        changed = replace(self._find(place, request.name), labels=dict(request.resource.labels))
        if {path.partition(".")[0] for path in request.update_mask.paths} != {"labels"}:
            raise invalid("update_mask: the local cloud changes a membership's labels only")
        self._fleet.add(changed)
        return self._begin(place, request.name, "update", self._membership(changed, ready=True))

    async def _delete(self, request: s.DeleteMembershipRequest) -> operations_pb2.Operation:
        place = self._project.place(request.name, "gkehub.memberships.delete")
        self._fleet.remove(self._find(place, request.name))
        return self._operations.begin(place.location, request.name, "delete", empty_pb2.Empty())

    def _begin(self, place: Place, name: str, verb: str, result: m.Membership) -> operations_pb2.Operation:
        return self._operations.begin(place.location, name, verb, m.Membership.pb(result))

    def _cluster_to_register(self, membership: m.Membership) -> str:
        """Give the cluster that a new membership is for: one that is there, and is in no fleet yet."""
        link = membership.endpoint.gke_cluster.resource_link
        cluster = _cluster_of(link)
        if not self._fleet.hosts(cluster):
            raise GoogleError("FAILED_PRECONDITION", f'GKE cluster "{link}" was not found')
        if (present := self._fleet.of_cluster(cluster)) is not None:
            own = f"projects/{self._project.name}/locations/{present.location}/memberships/{present.name}"
            raise GoogleError("FAILED_PRECONDITION", f'GKE cluster "{link}" is already registered as "{own}"')
        return cluster

    def _find(self, place: Place, name: str) -> Registration:
        self._project.check_up(place.location)
        found = self._fleet.find(place.location, place.id)
        if found is None:
            raise not_found(f"Resource '{name}' was not found")
        return found

    def _membership(self, each: Registration, *, ready: bool = False) -> m.Membership:
        location, name = each.cluster.split("/", 1)
        link = _CLUSTER_LINK.format(project=self._project.name, location=location, name=name)
        created = each.created or _SINCE_EVER
        code = m.MembershipState.Code
        ready = ready or not each.ready or self._clock.now() >= datetime.fromisoformat(each.ready)
        return m.Membership(
            name=f"projects/{self._project.name}/locations/{each.location}/memberships/{each.name}",
            labels=dict(each.labels),
            description=each.name,
            endpoint=m.MembershipEndpoint(
                gke_cluster=m.GkeCluster(resource_link=link, cluster_missing=each.cluster_missing)
            ),
            state=m.MembershipState(code=code.READY if ready else code.CREATING),
            authority=m.Authority(
                issuer=f"https://container.googleapis.com/v1/projects/{self._project.name}/locations/{location}/clusters/{name}",
                workload_identity_pool=f"{self._project.name}.svc.id.goog",
            ),
            unique_id=_uuid_of(each.cluster),
            external_id=_uuid_of(each.cluster),
            create_time=datetime.fromisoformat(created),
            update_time=datetime.fromisoformat(created),
        )


def _offset(token: str) -> int:
    if token and not token.isdigit():
        raise invalid("page_token is not one that this service gave")
    return int(token or 0)


def _cluster_of(link: str) -> str:
    """Read //container.googleapis.com/projects/P/locations/L/clusters/C; older links say zones."""
    parts = link.removeprefix("//container.googleapis.com/").split("/")
    if len(parts) != 6 or parts[2] not in ("locations", "zones") or parts[4] != "clusters":
        raise invalid(f'endpoint.gke_cluster.resource_link "{link}" does not name a GKE cluster')
    return f"{parts[3]}/{parts[5]}"


def _uuid_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
