"""The project's fleet as the user wants it: which clusters belong, how they are reached, which may be made.

One object says what bootstrap creates, what discovery takes for a member and what growth may add, so that the three
cannot disagree. `api/fleet.py` reads it and has checked every field by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

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
