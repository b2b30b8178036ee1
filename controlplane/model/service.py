"""What the user wants, as values. `api/` reads it from the custom resource and has checked every field by then."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from controlplane.model.offering import Accelerator, Capacity


@dataclass(frozen=True, slots=True)
class Regions:
    """Residency: where GPUs may be. `allowed` None means everywhere; a denied region is never used, come what may."""

    allowed: frozenset[str] | None = None
    denied: frozenset[str] = frozenset()

    def permits(self, region: str) -> bool:
        """Say whether a Pod of the service may ever run in this region."""
        return region not in self.denied and (self.allowed is None or region in self.allowed)


@dataclass(frozen=True, slots=True)
class Spread:
    """How the replicas are to lie over regions."""

    min_regions: int = 1
    max_replicas_per_region: int | None = None


class Preset(StrEnum):
    """What is valued, in a word; what that is in money follows from the price of a GPU and is decided in `decide`."""

    FRUGAL = "frugal"
    BALANCED = "balanced"
    AVAILABLE = "available"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user values; without a word, no value is put on it.

    missing_replica_cost: USD for each hour in which a replica that is wanted does not serve; overrides the preset's.
    max_spares: how many replicas beyond those wanted may be held to bridge losses; None leaves it to the policy.
    """

    preset: Preset | None = None
    missing_replica_cost: float | None = None
    max_spares: int | None = None

    @property
    def valued(self) -> bool:
        """Say whether the user put a value on a replica that is missing."""
        return self.preset is not None or self.missing_replica_cost is not None


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """How far a placement may grow by its load, and by what that is measured.

    max_replicas: of one placement. target_cpu: percent of the CPU that a Pod requests; None where it is not looked at.
    metrics: wire-form entries of autoscaling/v2 (`Pods` and `External`), checked by `api/`.
    """

    max_replicas: int
    target_cpu: int | None = None
    metrics: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """All durations the decision uses. Defaults follow GKE's own figures (provisioning up to 15 min, back-off 5-30)."""

    attempt_deadline: timedelta = timedelta(minutes=15)
    warmup_deadline: timedelta = timedelta(minutes=15)
    backoff_initial: timedelta = timedelta(minutes=5)
    backoff_max: timedelta = timedelta(minutes=30)
    stabilisation_window: timedelta = timedelta(minutes=10)
    min_dwell: timedelta = timedelta(minutes=10)
    unreachable_grace: timedelta = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Scratch:
    """An empty folder of the Pod's own; `size` is a Kubernetes quantity, None for no limit of its own."""

    path: str
    size: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model that every Pod reads: from a bucket (below `prefix`), or from a claim of that name in every region."""

    path: str
    bucket: str = ""
    prefix: str = ""
    claim: str = ""


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """The app's container. `env`, `resources` and probes are wire-form Kubernetes values, checked by `api/`.

    google_service_account: the email of the one that the app acts as at Google's APIs; empty for none.
    """

    image: str
    port: int
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[Mapping[str, Any], ...] = ()
    requests: Mapping[str, str] = field(default_factory=dict)
    startup_probe: Mapping[str, Any] | None = None
    readiness_probe: Mapping[str, Any] | None = None
    liveness_probe: Mapping[str, Any] | None = None
    termination_grace_seconds: int = 15
    pre_stop_seconds: int = 5
    run_as_user: int = 1000
    read_only_root: bool = False
    scratch: tuple[Scratch, ...] = ()
    google_service_account: str = ""
    model: Model | None = None


class IngressKind(StrEnum):
    """What wires the regions into one address."""

    MULTI_CLUSTER_INGRESS = "MultiClusterIngress"
    MULTI_CLUSTER_GATEWAY = "MultiClusterGateway"


@dataclass(frozen=True, slots=True)
class Https:
    """How the address speaks HTTPS; every name is that of a resource of the project.

    certificates: pre-shared ones (compute sslCertificates). certificate_map: of Certificate Manager, which a
    MultiClusterGateway takes in their place. redirect: who comes by HTTP is sent to HTTPS.
    """

    certificates: tuple[str, ...] = ()
    certificate_map: str | None = None
    ssl_policy: str | None = None
    redirect: bool = True


@dataclass(frozen=True, slots=True)
class Iap:
    """Who may come in is asked of Identity-Aware Proxy. The Secret in the config cluster is named, never read.

    client_id: which a MultiClusterGateway wants beside the Secret; a MultiClusterIngress finds it there.
    """

    oauth_secret: str
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ingress:
    """How the world reaches the service.

    static_address: a reserved address itself, which MultiClusterIngress takes. static_address_name: the name of one,
    which MultiClusterGateway takes. security_policy: of Cloud Armor, by name.
    """

    static_address: str | None = None
    host: str | None = None
    health_path: str = "/"
    timeout_seconds: int = 300
    draining_seconds: int = 300
    check_interval_seconds: int = 15
    kind: IngressKind = IngressKind.MULTI_CLUSTER_INGRESS
    static_address_name: str | None = None
    https: Https | None = None
    security_policy: str | None = None
    iap: Iap | None = None


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One GPUService as the decision sees it.

    autoscaling: None for placements of a fixed number of replicas.
    fingerprints: what `controlplane.model.template` has computed of this very value, which never changes.
    """

    name: str
    namespace: str
    uid: str
    generation: int
    replicas: int
    accelerators: tuple[Accelerator, ...]
    pod: PodTemplate
    capacity_types: tuple[Capacity, ...] = (Capacity.SPOT, Capacity.ON_DEMAND)
    regions: Regions = Regions()
    spread: Spread = Spread()
    max_hourly_cost: float | None = None
    policy: Policy = Policy()
    timing: Timing = Timing()
    ingress: Ingress = Ingress()
    paused: bool = False
    deleting: bool = False
    autoscaling: Autoscaling | None = None
    fingerprints: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def key(self) -> str:
        """Give namespace/name."""
        return f"{self.namespace}/{self.name}"
