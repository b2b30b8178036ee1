"""What a scenario says, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from controlplane.localcloud.scenario.catalog import MACHINE_TYPES, MachineType

ON_DEMAND = "on-demand"
SPOT = "spot"
FLEX_START = "flex-start"
CAPACITIES = (ON_DEMAND, SPOT, FLEX_START)


def region_of(location: str) -> str:
    """Give the region of a zone or region. AI zones look like `us-south1-ai1b`: all before the last dash."""
    return location.rsplit("-", 1)[0] if location.count("-") >= 2 else location


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """An Autopilot cluster: regional, with the zones that it may place nodes in."""

    name: str
    location: str
    zones: tuple[str, ...]
    project: str
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def region(self) -> str:
        """The region it lives in."""
        return region_of(self.location)

    @property
    def link(self) -> str:
        """LOCATION/NAME, as MultiClusterService links it."""
        return f"{self.location}/{self.name}"


@dataclass(frozen=True, slots=True)
class Region:
    """A region that the project sees, with its zones, whether or not a cluster is in it."""

    name: str
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StockEntry:
    """How many GPUs of a type a zone has for one capacity type at the start. 0: offered there, but sold out."""

    zone: str
    accelerator: str
    capacity: str
    count: int


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one GPU for one hour."""

    accelerator: str
    region: str
    capacity: str
    usd_per_hour: float


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """A quota limit at the start; `region` is empty for the project's own."""

    metric: str
    limit: float
    region: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What the capacity advice and history APIs say. None: the API leaves the number out."""

    region: str
    accelerator: str
    obtainability: float | None = None
    uptime_seconds: float | None = None
    preemption_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Delays:
    """How long things take, in seconds.

    provisioning: from the scale-up decision to the VM's existence; boot: from there to the Node being Ready.
    refusal: until Compute Engine says that it has no capacity or quota for a VM.
    backoff_*: how long the autoscaler leaves a shape alone after a failure, and when it forgets.
    provision_timeout: the autoscaler's maxNodeProvisionTime.
    cluster_create: until a new cluster runs, or a deleted one is gone; fleet_change: a membership's or feature's.
    scale_down: how long an empty node is kept. spot_grace: the longest a Pod may take to end on preemption.
    """

    provisioning: float = 0.0
    boot: float = 0.0
    refusal: float = 0.0
    image_pull: float = 0.0
    scale_down: float = 10.0
    load_balancer: float = 1.0
    cluster_create: float = 2.0
    fleet_change: float = 0.0
    spot_grace: float = 15.0
    provision_timeout: float = 900.0
    backoff_initial: float = 300.0
    backoff_max: float = 1800.0
    backoff_reset: float = 10800.0


@dataclass(frozen=True, slots=True)
class LoadBalancerSpec:
    """Where the global load balancer listens; port 0 is any free one."""

    port: int = 8080


@dataclass(frozen=True, slots=True)
class Trace:
    """A recorded availability that replaces the stock of some zones for one accelerator and capacity type.

    counts: for each zone, the free-or-used GPUs at each step of `interval` seconds. It starts again at its end.
    speed: how many recorded seconds pass in one second.
    preempts: whether a fall below what is in use takes nodes back (Spot), as it did where it was recorded.
    """

    accelerator: str
    capacity: str
    interval: float
    counts: Mapping[str, tuple[int, ...]]
    speed: float = 1.0
    preempts: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """The whole world at the start.

    config_cluster: None in a project without clusters. apis: those that are enabled; None for all.
    The fleet's features are enabled where there is a config cluster for them.
    """

    name: str
    path: Path
    project: str
    project_number: int
    config_cluster: ClusterSpec | None
    clusters: tuple[ClusterSpec, ...]
    regions: tuple[Region, ...]
    stock: tuple[StockEntry, ...]
    prices: tuple[Price, ...] = ()
    quotas: tuple[QuotaLimit, ...] = ()
    advice: tuple[Advice, ...] = ()
    traces: tuple[Trace, ...] = ()
    delays: Delays = field(default_factory=Delays)
    load_balancer: LoadBalancerSpec = field(default_factory=LoadBalancerSpec)
    client_region: str = ""
    preempted_stock_returns: bool = False
    ip_space: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    machine_types: tuple[MachineType, ...] = MACHINE_TYPES
    apis: frozenset[str] | None = None

    @property
    def all_clusters(self) -> tuple[ClusterSpec, ...]:
        """The config cluster if there is one, then the members."""
        return self.clusters if self.config_cluster is None else (self.config_cluster, *self.clusters)

    def accelerators_in(self, zone: str) -> tuple[str, ...]:
        """Give the GPU types that a zone offers, sold out or not, in alphabetical order."""
        return tuple(sorted({entry.accelerator for entry in self.stock if entry.zone == zone}))

    def zones_of(self, region: str) -> tuple[str, ...]:
        """Give the zones of a region; none for a region that the scenario does not know."""
        return next((r.zones for r in self.regions if r.name == region), ())
