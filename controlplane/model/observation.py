"""What one pass saw. Everything that can fail to be seen is a Fact."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controlplane.model.facts import Known, Unknown
from controlplane.model.offering import ClusterRef, Offering, RefusalClass
from controlplane.model.service import IngressKind


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """A member cluster of the fleet. `usable` is False while it is provisioning, stopping or broken.

    leaving: it stops being a member, so nothing is placed there any more and what stands there is drained.
    """

    ref: ClusterRef
    usable: bool = True
    status: str = "RUNNING"
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class PodFact:
    """One Pod of a placement. Scheduled (the GPU is obtained), ready and healthy are different facts.

    lost_at: when its preemption was announced, where that is told.
    """

    name: str
    uid: str
    created_at: datetime
    scheduled_at: datetime | None = None
    ready_at: datetime | None = None
    node: str | None = None
    zone: str | None = None
    terminating: bool = False
    preempted: bool = False
    failed: bool = False
    restarts: int = 0
    waiting_reason: str = ""
    lost_at: datetime | None = None

    @property
    def scheduled(self) -> bool:
        """The Pod has a node, so the GPU is held and paid for."""
        return self.node is not None

    @property
    def ready(self) -> bool:
        """The Pod answers its readiness probe and is not going away."""
        return self.ready_at is not None and not self.terminating


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal as a cluster's events or conditions told it, classified; `message` is sanitised and cut."""

    refusal: RefusalClass
    at: datetime
    message: str
    zones: tuple[str, ...] = ()
    pod_uid: str = ""


@dataclass(frozen=True, slots=True)
class AutoscalerFact:
    """The HorizontalPodAutoscaler of ours that keeps a placement's number of replicas between two bounds.

    spec_hash: of the settings that were applied last. problem: why it cannot scale, in its own words; empty if it can.
    """

    minimum: int
    maximum: int
    spec_hash: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadFact:
    """A placement's Deployment as it stands in its cluster, with its Pods and the refusals that concern them.

    rolled_out: its controller has taken up the template, and every Pod of it has that one.
    autoscaler: what sets its replicas in our place; None where we do.
    """

    offering: Offering
    name: str
    uid: str
    resource_version: str
    replicas: int
    template_hash: str
    pods: tuple[PodFact, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    created_at: datetime | None = None
    deleting: bool = False
    fence: int = 0
    rolled_out: bool = True
    autoscaler: AutoscalerFact | None = None

    @property
    def live_pods(self) -> tuple[PodFact, ...]:
        """The Pods that are neither going away nor failed."""
        return tuple(p for p in self.pods if not p.terminating and not p.failed)


@dataclass(frozen=True, slots=True)
class Member:
    """One member cluster: the service's workloads in it, or why they could not be seen."""

    info: ClusterInfo
    workloads: Known[tuple[WorkloadFact, ...]] | Unknown


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota metric's limit and usage, in GPUs. told: False where nobody tells the usage, and it is what we hold."""

    limit: float
    usage: float
    told: bool = True

    @property
    def free(self) -> float:
        """How many more GPUs the quota allows."""
        return self.limit - self.usage


@dataclass(frozen=True, slots=True)
class RegionSignals:
    """What Google Cloud says about a region before anything is paid. None of it proves that capacity is there.

    accelerators: the GPU types offered in any zone of the region.
    quotas: by metric name (`NVIDIA_L4_GPUS`, `PREEMPTIBLE_NVIDIA_L4_GPUS`); an absent metric is unknown, not 0.
    family_quotas: limits of the families that have no regional metric (`GPUS_PER_GPU_FAMILY/NVIDIA_H100`); None where
    no GPU type that is wanted calls for them.
    zones: by GPU type, the zones that offer it; a stock-out in some of them does not rule the region out.
    """

    accelerators: Known[frozenset[str]] | Unknown
    quotas: Known[Mapping[str, Quota]] | Unknown
    zones: Mapping[str, frozenset[str]] = field(default_factory=dict)
    family_quotas: Known[Mapping[str, Quota]] | Unknown | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """The capacity advice API's answer for one offering; a hint for the order, never a gate.

    obtainability: how likely one machine is to be had now, 0 to 1.
    estimated_uptime_seconds: how long the majority of Spot machines run before they are preempted; more than 0.
    preemption_rate: on the last day told, the preempted ones among the machines that stopped, 0 to 1. A share of the
    ends and no hazard: it does not say how long they ran.
    spot_price: USD an hour for the whole machine, with all its GPUs.
    """

    obtainability: float | None = None
    estimated_uptime_seconds: float | None = None
    preemption_rate: float | None = None
    spot_price: float | None = None


@dataclass(frozen=True, slots=True)
class IngressFact:
    """The wiring of one kind as it stands, and what the load balancer says about the backends.

    clusters: links in MultiClusterService.spec.clusters, or of the clusters that hold a ServiceExport; None when the
    wiring is not there yet.
    healthy: healthy backends behind the load balancer by region; Unknown where it could not be asked.
    spec_hash: of what we applied last (annotation), to see whether anything but the list must change.
    present: some object of it that is ours is there. going: one of them is being deleted.
    other: the wiring of the other kind, while anything of it is there.
    """

    clusters: tuple[str, ...] | None
    address: str | None
    healthy: Known[Mapping[str, int]] | Unknown
    spec_hash: str = ""
    resource_version: str = ""
    foreign: bool = False
    kind: IngressKind = IngressKind.MULTI_CLUSTER_INGRESS
    present: bool = False
    going: bool = False
    other: "IngressFact | None" = None


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one pass saw for one service.

    prices: USD per GPU-hour by offering; an offering without a price is not in the map.
    unlisted: the locations that the fleet listing says it could not ask (`missing_zones`); it is not complete then.
    """

    at: datetime
    fleet: Known[tuple[ClusterInfo, ...]] | Unknown
    members: Mapping[ClusterRef, Member]
    signals: Mapping[str, RegionSignals]
    ingress: Known[IngressFact] | Unknown
    project_gpu_quota: Known[Quota] | Unknown
    prices: Mapping[Offering, float] = field(default_factory=dict)
    advice: Mapping[Offering, Known[Advice] | Unknown] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
