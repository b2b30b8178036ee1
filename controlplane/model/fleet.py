"""The project's fleet as the user wants it: which clusters belong, how they are reached, which may be made.

One object says what bootstrap creates, what discovery takes for a member and what growth may add, so that the three
cannot disagree. `api/fleet.py` reads it and has checked every field by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from controlplane.model.facts import Known, Unknown
from controlplane.model.offering import ClusterRef

FLEET_NAME = "default"
NAME_RULE = "gpu-{region}"


class EndpointChoice(StrEnum):
    """By which of a cluster's endpoints its API server is called.

    AUTO: the DNS endpoint where it takes traffic from outside, else the IP endpoint, else the Connect gateway. Only
    AUTO falls back; the others are taken at their word.
    """

    AUTO = "auto"
    DNS = "dns"
    IP = "ip"
    CONNECT_GATEWAY = "connectGateway"


@dataclass(frozen=True, slots=True)
class OnDemand:
    """Clusters that are made when a region can give GPUs and has none: where, how many at once, and for how long.

    idle_after: how long one must be without a placement before it is drained and deleted.
    """

    regions: tuple[str, ...]
    max_clusters: int
    idle_after: timedelta


@dataclass(frozen=True, slots=True)
class ReconcilerPlace:
    """Where bootstrap has passes run, and when (a cron line). An empty region is the config cluster's."""

    region: str = ""
    schedule: str = "* * * * *"


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """What the user wants of the fleet.

    labels: resource labels that a member must carry, and that every cluster which we create gets.
    regions: where bootstrap makes one member cluster each. name_rule: holds `{region}`.
    on_demand: None means that no pass ever creates a cluster. reconciler.region is always filled in.
    """

    project: str
    config: ClusterRef
    labels: Mapping[str, str] = field(default_factory=dict)
    endpoint: EndpointChoice = EndpointChoice.AUTO
    regions: tuple[str, ...] = ()
    name_rule: str = NAME_RULE
    on_demand: OnDemand | None = None
    reconciler: ReconcilerPlace = field(default_factory=ReconcilerPlace)

    def __post_init__(self) -> None:
        if not self.reconciler.region:
            object.__setattr__(self, "reconciler", replace(self.reconciler, region=self.config.region))

    def cluster_name(self, region: str) -> str:
        """Give the name of the cluster that we create in a region."""
        return self.name_rule.replace("{region}", region)

    def cluster(self, region: str) -> ClusterRef:
        """Give the cluster that we create in a region; Autopilot clusters are regional."""
        return ClusterRef(region, self.cluster_name(region))


@dataclass(frozen=True, slots=True)
class ClusterStanding:
    """A cluster of the project as it was found, whether it belongs, and why not.

    state: GKE's word for it, such as RUNNING. why: why it does not belong, or belongs and is not used; else empty.
    leaving: it stops belonging, so what stands there is moved away. version: of its control plane.
    membership: LOCATION/NAME of what registers it in the fleet, empty where nothing does.
    endpoint: by which endpoint it is called (`dns`, `ip`, `connectGateway`), empty where none can be.
    ingress: what the fleet's ingress feature says of it when that is not well, such as ERROR; else empty.
    uid: its id, which a cluster made anew under the same name does not have. labels: its resource labels.
    """

    ref: ClusterRef
    state: str = "RUNNING"
    belongs: bool = True
    why: str = ""
    leaving: bool = False
    version: str = ""
    membership: str = ""
    endpoint: str = ""
    ingress: str = ""
    uid: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether it is a member in which something can be placed."""
        return self.belongs and not self.why


@dataclass(frozen=True, slots=True)
class IngressFeatureSeen:
    """The fleet's ingress feature. ours: its config membership is that of the config cluster; None where unknown."""

    enabled: bool
    membership: str = ""
    ours: bool | None = None
    code: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class FleetSeen:
    """The project's clusters as a pass saw them.

    standings: every cluster but the config cluster. unlisted: locations that could not be asked.
    memberships: Known, or why the hub did not tell them; then the GKE API's word stands in.
    """

    standings: tuple[ClusterStanding, ...]
    unlisted: tuple[str, ...]
    memberships: Known[int] | Unknown
    feature: Known[IngressFeatureSeen] | Unknown
