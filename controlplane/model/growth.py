"""Clusters on demand, as values: what was seen of clusters and memberships, and what of them outlives a pass.

Clusters that we make carry `LABEL: ON_DEMAND`. What lacks it is never changed or deleted, whatever a memory says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from controlplane.model.facts import Known, Unknown
from controlplane.model.observation import Advice, Quota, RegionSignals
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering
from controlplane.model.service import Regions

LABEL = "gpu-hunter"
ON_DEMAND = "on-demand"
GROWTH_VERSION = 1


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """A cluster as the GKE API shows it.

    uid: its id there, which a cluster made anew under the same name does not have.
    membership: the full name of its fleet membership, empty while it has none. message: why it is as it is, sanitised.
    """

    ref: ClusterRef
    uid: str
    status: str
    labels: Mapping[str, str] = field(default_factory=dict)
    autopilot: bool = True
    membership: str = ""
    message: str = ""
    version: str = ""
    reachable: bool = True

    @property
    def on_demand(self) -> bool:
        """Whether it carries the label of clusters that we make."""
        return self.labels.get(LABEL) == ON_DEMAND


@dataclass(frozen=True, slots=True)
class MembershipSeen:
    """A fleet membership by its full name, and the GKE cluster that it registers, if it is one of GKE's."""

    name: str
    cluster: ClusterRef | None
    cluster_missing: bool = False
    state: str = "READY"


class Progress(StrEnum):
    """How far a long-running operation is. GONE: nobody knows it any more."""

    RUNNING = "Running"
    DONE = "Done"
    FAILED = "Failed"
    GONE = "Gone"


@dataclass(frozen=True, slots=True)
class OperationSeen:
    """A long-running operation; `message` is what went wrong, sanitised."""

    progress: Progress
    message: str = ""


@dataclass(frozen=True, slots=True)
class EndpointGroup:
    """A network endpoint group of the load balancer. cluster_uid: of kube-system in the cluster it stands for."""

    name: str
    zone: str
    cluster_uid: str


class Stage(StrEnum):
    """How far a cluster on demand has come, in the order in which it goes on."""

    CREATING = "Creating"
    REGISTERING = "Registering"
    PREPARING = "Preparing"
    READY = "Ready"
    IDLE = "Idle"
    DRAINING = "Draining"
    UNWIRING = "Unwiring"
    UNREGISTERING = "Unregistering"
    DELETING = "Deleting"


ARRIVING = frozenset({Stage.CREATING, Stage.REGISTERING, Stage.PREPARING})
"""Nothing can be placed there yet."""
LEAVING = frozenset({Stage.DRAINING, Stage.UNWIRING, Stage.UNREGISTERING, Stage.DELETING})
"""Nothing may be placed there any more."""


@dataclass(frozen=True, slots=True)
class Grown:
    """A cluster on demand, as it is remembered. Its key is LOCATION/NAME.

    since: when it came to this stage. why: what it was made for. uid: its id, once it was seen.
    kube_uid: the uid of its kube-system, by which network endpoint groups name it.
    operation: of the GKE API, the last one that was asked for, as long as it matters.
    prepared: our rights are in it. cleared: our objects are out of it. obtained: it gave GPUs at some time.
    barren: it refused GPUs before it gave any. clean_since: since when no address leads there, without a break.
    trouble: why the last step did not go, for people.
    """

    stage: Stage
    since: datetime
    why: str = ""
    uid: str = ""
    kube_uid: str = ""
    operation: str = ""
    prepared: bool = False
    cleared: bool = False
    obtained: bool = False
    barren: bool = False
    clean_since: datetime | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class RegionPast:
    """What was learnt of a region in which a cluster was made: failures in a row, and not before when to try again."""

    failures: int = 0
    not_before: datetime | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class GrowthMemory:
    """All that outlives a pass. It lives in the status of the Fleet object."""

    version: int = GROWTH_VERSION
    fence: int = 0
    clusters: Mapping[str, Grown] = field(default_factory=dict)
    regions: Mapping[str, RegionPast] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """A service that is short of GPUs although every cluster there is was asked.

    kinds: GPU type and capacity type that a new cluster might give, in the user's order.
    budget: what the cost cap leaves, USD an hour; None without a cap. since: since when it is below target.
    """

    service: str
    missing: int
    kinds: tuple[tuple[Accelerator, Capacity], ...]
    regions: Regions
    since: datetime
    budget: float | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What one cluster is used for, over all services.

    placements: services that have a workload there or are about to. wired: services whose address leads there.
    only: those of them whose address leads nowhere else.
    holds: whether some GPUs are held there. refused: why GPUs are not given there now, as a reason; empty otherwise.
    """

    placements: Known[tuple[str, ...]] | Unknown
    wired: Known[tuple[str, ...]] | Unknown
    only: tuple[str, ...] = ()
    holds: bool = False
    refused: str = ""


@dataclass(frozen=True, slots=True)
class GrowthSeen:
    """All that a pass saw which concerns clusters on demand.

    clusters: every cluster of the project. unlisted: locations that its listing left out; it is not whole then.
    memberships, groups: Unknown with NotAsked in a pass in which no stage needs them.
    members: the clusters that services may use. uses, operations: by LOCATION/NAME.
    prices: USD per GPU-hour by GPU type, region and capacity type. advice: of what a new cluster would offer.
    doubt: why this pass saw too little to take anything for granted; empty when it did not.
    """

    at: datetime
    clusters: Known[Mapping[ClusterRef, ClusterSeen]] | Unknown
    memberships: Known[tuple[MembershipSeen, ...]] | Unknown
    groups: Known[tuple[EndpointGroup, ...]] | Unknown
    project_gpu_quota: Known[Quota] | Unknown
    signals: Mapping[str, RegionSignals] = field(default_factory=dict)
    members: frozenset[ClusterRef] = frozenset()
    uses: Mapping[str, Use] = field(default_factory=dict)
    operations: Mapping[str, OperationSeen] = field(default_factory=dict)
    prices: Mapping[tuple[str, str, Capacity], float] = field(default_factory=dict)
    advice: Mapping[Offering, Known[Advice] | Unknown] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def whole(self) -> bool:
        """Whether what is not in the listing of clusters is not there."""
        return isinstance(self.clusters, Known) and not self.unlisted
