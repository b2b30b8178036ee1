"""The fleet's features: multi-cluster ingress with its config membership, and multi-cluster service discovery.

The ingress controller of the local cloud works only while the first names a membership whose cluster is there, and
Services are exported only while the second is enabled, as on Google Cloud.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias

from google.cloud.gkehub_v1.types import feature as f
from google.cloud.gkehub_v1.types import service as s
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.fleet import Fleet, Registration
from controlplane.localcloud.gcp.hub_operations import HubOperations
from controlplane.localcloud.gcp.project import Place, Project

Handler: TypeAlias = Callable[[Any], Awaitable[Any]]

SERVICE = "/google.cloud.gkehub.v1.GkeHub/"
INGRESS = "multiclusteringress"
DISCOVERY = "multiclusterservicediscovery"


@dataclass(frozen=True, slots=True)
class Feature:
    """An enabled feature. config: the ingress' config membership, by its full name; ready: when it is ACTIVE."""

    config: str = ""
    created: str = ""
    ready: str = ""
    labels: dict[str, str] = field(default_factory=dict)


class Features:
    """Enables, changes and disables features."""

    def __init__(self, project: Project, clock: Clock, fleet: Fleet, operations: HubOperations) -> None:
        self._project = project
        self._clock = clock
        self._fleet = fleet
        self._operations = operations
        self._enabled: dict[str, Feature] = {}
        if (config := project.scenario.config_cluster) is not None:
            member = f"projects/{project.name}/locations/{config.location}/memberships/{config.name}"
            self._enabled = {INGRESS: Feature(member), DISCOVERY: Feature()}

    def handlers(self) -> dict[str, Handler]:
        """Give the methods that are implemented, by their path."""
        return {
            SERVICE + "ListFeatures": self._list,
            SERVICE + "GetFeature": self._get,
            SERVICE + "CreateFeature": self._create,
            SERVICE + "UpdateFeature": self._update,
            SERVICE + "DeleteFeature": self._delete,
        }

    def config_cluster(self) -> str | None:
        """Give the link of the cluster whose ingress objects count; None while nobody's do."""
        member = self._config_member() if self.enabled(INGRESS) else None
        return None if member is None or member.cluster_missing else member.cluster

    def enabled(self, feature: str) -> bool:
        """Say whether a feature works: it is enabled, and so is its API."""
        return feature in self._enabled and f"{feature}.googleapis.com" not in self._project.disabled

    def to_state(self) -> dict[str, Any]:
        """Give what must outlive the daemon."""
        return {name: asdict(each) for name, each in self._enabled.items()}

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._enabled = {name: Feature(**each) for name, each in state.items()}

    # -- methods ---------------------------------------------------------------------------------------------------

    async def _list(self, request: s.ListFeaturesRequest) -> s.ListFeaturesResponse:
        place = self._project.place(request.parent, "gkehub.features.list")
        if place.location not in ("-", "global"):
            return s.ListFeaturesResponse()
        return s.ListFeaturesResponse(resources=[self._described(name) for name in sorted(self._enabled)])

    async def _get(self, request: s.GetFeatureRequest) -> f.Feature:
        place = self._project.place(request.name, "gkehub.features.get")
        return self._described(self._find(place, request.name))

    async def _create(self, request: s.CreateFeatureRequest) -> operations_pb2.Operation:
        place = self._project.place(request.parent, "gkehub.features.create")
        name = request.feature_id
        full = f"{request.parent}/features/{name}"
        if place.location != "global" or name not in (INGRESS, DISCOVERY):
            raise invalid(f"feature {name} is not supported in {place.location}")
        if name in self._enabled:
            raise GoogleError("ALREADY_EXISTS", f"Resource '{full}' already exists")
        api = f"{name}.googleapis.com"
        if api in self._project.disabled:
            text = f"{api} must be enabled in project {self._project.name} before the feature {name} can be."
            raise GoogleError("FAILED_PRECONDITION", text)
        config = self._config_of(request.resource) if name == INGRESS else ""
        created, ready = self._clock.now().isoformat(), self._operations.due().isoformat()
        self._enabled[name] = Feature(config, created, ready, dict(request.resource.labels))
        return self._operations.begin(place.location, full, "create", f.Feature.pb(self._described(name)))

    async def _update(self, request: s.UpdateFeatureRequest) -> operations_pb2.Operation:
        place = self._project.place(request.name, "gkehub.features.update")
        name = self._find(place, request.name)
        if name == INGRESS:
            self._enabled[name] = replace(self._enabled[name], config=self._config_of(request.resource))
        return self._operations.begin(place.location, request.name, "update", f.Feature.pb(self._described(name)))

    async def _delete(self, request: s.DeleteFeatureRequest) -> operations_pb2.Operation:
        place = self._project.place(request.name, "gkehub.features.delete")
        del self._enabled[self._find(place, request.name)]
        return self._operations.begin(place.location, request.name, "delete", empty_pb2.Empty())

    # -- parts -----------------------------------------------------------------------------------------------------

    def _find(self, place: Place, name: str) -> str:
        if place.location != "global" or place.id not in self._enabled:
            raise not_found(f"Resource '{name}' was not found")
        return place.id

    def _config_of(self, feature: f.Feature) -> str:
        name: str = feature.spec.multiclusteringress.config_membership
        if _member_of(name) is None:
            text = "must be projects/PROJECT/locations/LOCATION/memberships/MEMBERSHIP"
            raise invalid(f'spec.multiclusteringress.config_membership "{name}" {text}')
        return name

    def _described(self, name: str) -> f.Feature:
        """Describe a feature. The states' keys name the project by its number, its own name by its id."""
        own = self._enabled[name]
        state = f.FeatureResourceState.State
        coming = bool(own.ready) and self._clock.now() < datetime.fromisoformat(own.ready)
        feature = f.Feature(
            name=f"projects/{self._project.name}/locations/global/features/{name}",
            resource_state=f.FeatureResourceState(state=state.ENABLING if coming else state.ACTIVE),
            state=f.CommonFeatureState(state=self._overall(name)),
            membership_states=self._states(),
            labels=own.labels,
        )
        if own.created:
            feature.create_time = datetime.fromisoformat(own.created)
        if name == INGRESS:
            member = self._config_member()
            full = "" if member is None else f"projects/{self._project.name}/{_place(member)}"
            feature.spec = f.CommonFeatureSpec(multiclusteringress={"config_membership": full or own.config})
        return feature

    def _overall(self, name: str) -> f.FeatureState:
        code = f.FeatureState.Code
        if name == INGRESS:
            member = self._config_member()
            if member is None:
                return f.FeatureState(code=code.ERROR, description="The config membership does not exist.")
            if member.cluster_missing:
                return f.FeatureState(code=code.ERROR, description="The config membership's cluster was deleted.")
        return f.FeatureState(code=code.OK, description="Ready to use")

    def _states(self) -> dict[str, f.MembershipFeatureState]:
        code = f.FeatureState.Code
        states = {}
        for each in self._fleet.members():
            state = f.FeatureState(code=code.OK)
            if each.cluster_missing:
                state = f.FeatureState(code=code.ERROR, description="GKE cluster for membership was deleted.")
            elif self._project.is_down(each.location) or self._project.is_down(each.cluster.split("/")[0]):
                state = f.FeatureState(code=code.WARNING, description="The cluster's API server cannot be reached.")
            states[f"projects/{self._project.number}/{_place(each)}"] = f.MembershipFeatureState(state=state)
        return states

    def _config_member(self) -> Registration | None:
        own = self._enabled.get(INGRESS)
        parts = None if own is None else _member_of(own.config)
        return None if parts is None else self._fleet.find(*parts)


def _place(member: Registration) -> str:
    return f"locations/{member.location}/memberships/{member.name}"


def _member_of(name: str) -> tuple[str, str] | None:
    """Read projects/P/locations/L/memberships/M."""
    parts = name.split("/")
    good = len(parts) == 6 and (parts[0], parts[2], parts[4]) == ("projects", "locations", "memberships")
    return (parts[3], parts[5]) if good else None
