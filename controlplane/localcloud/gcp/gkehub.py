"""google.cloud.gkehub.v1.GkeHub: memberships, the ingress feature, and long-running operations."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias

from google.cloud.gkehub_v1.types import feature as f
from google.cloud.gkehub_v1.types import membership as m
from google.cloud.gkehub_v1.types import service as s
from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2

from controlplane.localcloud.clock import Clock, new_uid, rfc3339
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.fleet import Fleet, Registration
from controlplane.localcloud.gcp.project import Place, Project

Handler: TypeAlias = Callable[[Any], Awaitable[Any]]

SERVICE = "/google.cloud.gkehub.v1.GkeHub/"
GET_OPERATION = "/google.longrunning.Operations/GetOperation"
_CLUSTER_LINK = "//container.googleapis.com/projects/{project}/locations/{location}/clusters/{name}"
_OPERATIONS_KEPT = 200
INGRESS_FEATURE = "multiclusteringress"


class GkeHubApi:
    """Serves the fleet. Changes are done at once; their operations are finished when they are given."""

    def __init__(self, project: Project, clock: Clock, fleet: Fleet) -> None:
        self._project = project
        self._clock = clock
        self._fleet = fleet
        self._operations: dict[str, operations_pb2.Operation] = {}
        # The config membership of the ingress feature as it was set; None: the scenario's; and False: not enabled.
        self.feature: str | bool | None = None

    def handlers(self) -> dict[str, Handler]:
        """Give the methods that are implemented, by their path."""
        return {
            SERVICE + "ListMemberships": self._list,
            SERVICE + "GetMembership": self._get,
            SERVICE + "CreateMembership": self._create,
            SERVICE + "DeleteMembership": self._delete,
            SERVICE + "ListFeatures": self._list_features,
            SERVICE + "GetFeature": self._get_feature,
            SERVICE + "CreateFeature": self._create_feature,
            SERVICE + "UpdateFeature": self._update_feature,
            SERVICE + "DeleteFeature": self._delete_feature,
        }

    def operation(self, name: str) -> operations_pb2.Operation:
        """Give a long-running operation by its full name."""
        place = self._project.place(name, "gkehub.operations.get")
        operation = self._operations.get(place.id)
        if operation is None:
            raise not_found(f"Resource '{name}' was not found")
        return operation

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
        cluster = _cluster_of(request.resource.endpoint.gke_cluster.resource_link)
        registration = Registration(
            place.location,
            request.membership_id,
            cluster,
            dict(request.resource.labels),
            rfc3339(self._clock.now()),
        )
        self._fleet.add(registration)
        return self._done(place.location, name, "create", m.Membership.pb(self._membership(registration)))

    async def _delete(self, request: s.DeleteMembershipRequest) -> operations_pb2.Operation:
        place = self._project.place(request.name, "gkehub.memberships.delete")
        self._fleet.remove(self._find(place, request.name))
        return self._done(place.location, request.name, "delete", empty_pb2.Empty())

    def _find(self, place: Place, name: str) -> Registration:
        self._project.check_up(place.location)
        found = self._fleet.find(place.location, place.id)
        if found is None:
            raise not_found(f"Resource '{name}' was not found")
        return found

    def _membership(self, each: Registration) -> m.Membership:
        location, name = each.cluster.split("/", 1)
        link = _CLUSTER_LINK.format(project=self._project.name, location=location, name=name)
        created = each.created or "2026-01-01T00:00:00Z"
        return m.Membership(
            name=f"projects/{self._project.name}/locations/{each.location}/memberships/{each.name}",
            labels=dict(each.labels),
            description=each.name,
            endpoint=m.MembershipEndpoint(
                gke_cluster=m.GkeCluster(resource_link=link, cluster_missing=each.cluster_missing)
            ),
            state=m.MembershipState(code=m.MembershipState.Code.READY),
            authority=m.Authority(
                issuer=f"https://container.googleapis.com/v1/projects/{self._project.name}/locations/{location}/clusters/{name}",
                workload_identity_pool=f"{self._project.name}.svc.id.goog",
            ),
            unique_id=_uuid_of(each.cluster),
            external_id=_uuid_of(each.cluster),
            create_time=datetime.fromisoformat(created),
            update_time=datetime.fromisoformat(created),
        )

    # -- features --------------------------------------------------------------------------------------------------

    async def _list_features(self, request: s.ListFeaturesRequest) -> s.ListFeaturesResponse:
        place = self._project.place(request.parent, "gkehub.features.list")
        if place.location not in ("-", "global"):
            return s.ListFeaturesResponse()
        if self.feature is False:
            return s.ListFeaturesResponse()
        return s.ListFeaturesResponse(resources=[self._ingress_feature()])

    async def _get_feature(self, request: s.GetFeatureRequest) -> f.Feature:
        place = self._project.place(request.name, "gkehub.features.get")
        self._find_feature(place, request.name)
        return self._ingress_feature()

    async def _create_feature(self, request: s.CreateFeatureRequest) -> operations_pb2.Operation:
        place = self._project.place(request.parent, "gkehub.features.create")
        name = f"{request.parent}/features/{request.feature_id}"
        if (place.location, request.feature_id) != ("global", INGRESS_FEATURE):
            raise invalid(f"feature {request.feature_id} is not supported in {place.location}")
        if self.feature is not False:
            raise GoogleError("ALREADY_EXISTS", f"Resource '{name}' already exists")
        self.feature = request.resource.spec.multiclusteringress.config_membership
        return self._done(place.location, name, "create", f.Feature.pb(self._ingress_feature()))

    async def _update_feature(self, request: s.UpdateFeatureRequest) -> operations_pb2.Operation:
        place = self._project.place(request.name, "gkehub.features.update")
        self._find_feature(place, request.name)
        self.feature = request.resource.spec.multiclusteringress.config_membership
        return self._done(place.location, request.name, "update", f.Feature.pb(self._ingress_feature()))

    async def _delete_feature(self, request: s.DeleteFeatureRequest) -> operations_pb2.Operation:
        place = self._project.place(request.name, "gkehub.features.delete")
        self._find_feature(place, request.name)
        self.feature = False
        return self._done(place.location, request.name, "delete", empty_pb2.Empty())

    def _find_feature(self, place: Place, name: str) -> None:
        if (place.location, place.id) != ("global", INGRESS_FEATURE) or self.feature is False:
            raise not_found(f"Resource '{name}' was not found")

    def _ingress_feature(self) -> f.Feature:
        """Give the ingress feature. The states' keys name the project by its number, its own name by its id."""
        member = self._config_member()
        code = f.FeatureState.Code
        states = {}
        for each in self._fleet.members():
            key = f"projects/{self._project.number}/locations/{each.location}/memberships/{each.name}"
            state = f.FeatureState(code=code.OK)
            if each.cluster_missing:
                state = f.FeatureState(code=code.ERROR, description="GKE cluster for membership was deleted.")
            elif self._project.is_down(each.location):
                state = f.FeatureState(code=code.WARNING, description="The cluster's API server cannot be reached.")
            states[key] = f.MembershipFeatureState(state=state)
        overall = f.FeatureState(code=code.OK, description="Ready to use")
        name = ""
        if member is None:
            overall = f.FeatureState(code=code.ERROR, description="The config membership does not exist.")
        else:
            name = f"projects/{self._project.name}/locations/{member.location}/memberships/{member.name}"
        return f.Feature(
            name=f"projects/{self._project.name}/locations/global/features/{INGRESS_FEATURE}",
            resource_state=f.FeatureResourceState(state=f.FeatureResourceState.State.ACTIVE),
            spec=f.CommonFeatureSpec(multiclusteringress={"config_membership": name}),
            state=f.CommonFeatureState(state=overall),
            membership_states=states,
        )

    def _config_member(self) -> Registration | None:
        """Give the membership that holds the ingress objects: the one that was set, else the config cluster's."""
        if isinstance(self.feature, str):
            parts = self.feature.split("/")
            named = len(parts) == 6 and parts[2] == "locations" and parts[4] == "memberships"
            return self._fleet.find(parts[3], parts[5]) if named else None
        return self._fleet.of_cluster(self._project.scenario.config_cluster.link)

    # -- operations ------------------------------------------------------------------------------------------------

    def _done(self, location: str, target: str, verb: str, response: Any) -> operations_pb2.Operation:
        now = self._clock.now()
        name = f"operation-{int(now.timestamp() * 1000)}-{new_uid()}"
        metadata = s.OperationMetadata(create_time=now, end_time=now, target=target, verb=verb, api_version="v1")
        operation = operations_pb2.Operation(
            name=f"projects/{self._project.name}/locations/{location}/operations/{name}", done=True
        )
        operation.metadata.CopyFrom(_any(s.OperationMetadata.pb(metadata)))
        operation.response.CopyFrom(_any(response))
        self._operations[name] = operation
        while len(self._operations) > _OPERATIONS_KEPT:
            del self._operations[next(iter(self._operations))]
        return operation


def _any(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


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
