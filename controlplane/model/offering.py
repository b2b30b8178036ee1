"""Offerings: the things that can be tried, and why one is refused.

A decision asks every offering for its key and its region many times over, so what is made of the names is made once.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Capacity(StrEnum):
    """How Google Cloud sells the capacity. The values are the `cloud.google.com/gke-provisioning` labels' meaning."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    FLEX_START = "flex-start"


@dataclass(frozen=True, slots=True, order=True)
class Accelerator:
    """A GPU type by its node label value (`nvidia-l4`) and how many of them one Pod takes."""

    type: str
    count: int = 1

    def __str__(self) -> str:
        """Give `nvidia-l4` or `4x nvidia-l4`."""
        return self.type if self.count == 1 else f"{self.count}x {self.type}"


@dataclass(frozen=True, slots=True, order=True)
class ClusterRef:
    """A cluster as MultiClusterService links it: LOCATION/NAME.

    link: the form `spec.clusters[].link` takes.
    region: of a regional or zonal location (`us-west1-a` and `us-west1` are both in us-west1).
    """

    location: str
    name: str
    link: str = field(init=False, repr=False, compare=False)
    region: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "link", f"{self.location}/{self.name}")
        object.__setattr__(self, "region", region_of(self.location))

    @classmethod
    def of(cls, link: str) -> "ClusterRef":
        """Read LOCATION/NAME, which was checked before: the other way of `link`."""
        location, _, name = link.partition("/")
        return cls(location, name)

    def __hash__(self) -> int:
        return hash(self.link)

    def __str__(self) -> str:
        """Give the link."""
        return self.link


def region_of(location: str) -> str:
    """Give the region of a zone or region name. AI zones look like `us-south1-ai1b`: all before the last dash."""
    return location.rsplit("-", 1)[0] if location.count("-") >= 2 else location


@dataclass(frozen=True, slots=True, order=True)
class Offering:
    """One thing that can be tried: this many GPUs of this type, of this capacity type, in this member cluster.

    key: a stable text key, unique in a fleet: `us-central1/gpu-1:nvidia-l4:1:spot`.
    region: where the GPUs are. kind: GPU type, their number and the capacity type.
    order: sorts as the offering itself does, only faster.
    """

    cluster: ClusterRef
    accelerator: Accelerator
    capacity: Capacity
    key: str = field(init=False, repr=False, compare=False)
    region: str = field(init=False, repr=False, compare=False)
    kind: tuple[str, int, str] = field(init=False, repr=False, compare=False)
    order: tuple[str, str, str, int, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        cluster, kind = self.cluster, (self.accelerator.type, self.accelerator.count, self.capacity.value)
        object.__setattr__(self, "key", f"{cluster.link}:{kind[0]}:{kind[1]}:{kind[2]}")
        object.__setattr__(self, "region", cluster.region)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "order", (cluster.location, cluster.name, *kind))

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Offering) and self.order == other.order)

    def __hash__(self) -> int:
        return hash(self.key)

    @classmethod
    def parse(cls, key: str) -> "Offering":
        """Read what `key` gives. Raises ValueError on anything else."""
        link, accelerator, count, capacity = key.split(":")
        location, name = link.split("/")
        return cls(ClusterRef(location, name), Accelerator(accelerator, int(count)), Capacity(capacity))

    def __str__(self) -> str:
        """Give `us-central1 nvidia-l4 spot`, for people."""
        return f"{self.region} {self.accelerator} {self.capacity.value}"


class RefusalClass(StrEnum):
    """Why GPUs were not obtained or kept, by consequence (what it blocks, whether trying elsewhere helps)."""

    STOCK_OUT = "StockOut"
    QUOTA_REGION = "QuotaRegion"
    QUOTA_PROJECT = "QuotaProject"
    IP_SPACE = "IpSpaceExhausted"
    REJECTED_SPEC = "RejectedSpec"
    PROVISIONING_TIMEOUT = "ProvisioningTimeout"
    BACKING_OFF = "AutoscalerBackingOff"
    PREEMPTED = "Preempted"
    APP_UNHEALTHY = "AppUnhealthy"
    UNREACHABLE = "Unreachable"
    UNAUTHORISED = "Unauthorised"
    UNCLASSIFIED = "Unclassified"
