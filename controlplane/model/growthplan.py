"""What a pass decides about clusters on demand: actions as data, and why a cluster was made or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from controlplane.model.growth import GrowthMemory
from controlplane.model.offering import ClusterRef


@dataclass(frozen=True, slots=True)
class CreateCluster:
    """Ask for an Autopilot cluster, registered in the fleet as it is made."""

    ref: ClusterRef
    labels: Mapping[str, str]
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"create cluster {self.ref}: {self.why}"


@dataclass(frozen=True, slots=True)
class RegisterCluster:
    """Register a cluster in the fleet."""

    ref: ClusterRef
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"register {self.ref} in the fleet: {self.why}"


@dataclass(frozen=True, slots=True)
class PrepareCluster:
    """Give the reconciler its rights in a new cluster, and learn how endpoint groups name it."""

    ref: ClusterRef
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"prepare {self.ref}: {self.why}"


@dataclass(frozen=True, slots=True)
class ClearCluster:
    """Delete our objects in a cluster that is going: Services and what exports them."""

    ref: ClusterRef
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"clear {self.ref}: {self.why}"


@dataclass(frozen=True, slots=True)
class UnregisterCluster:
    """Take a cluster out of the fleet. membership: its full name."""

    ref: ClusterRef
    membership: str
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"take {self.ref} out of the fleet: {self.why}"


@dataclass(frozen=True, slots=True)
class DeleteCluster:
    """Delete the very cluster that was seen."""

    ref: ClusterRef
    uid: str
    labels: Mapping[str, str]
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"delete cluster {self.ref}: {self.why}"


GrowthAction: TypeAlias = (
    CreateCluster | RegisterCluster | PrepareCluster | ClearCluster | UnregisterCluster | DeleteCluster
)


@dataclass(frozen=True, slots=True)
class RegionVerdict:
    """What one pass says of one region in which clusters may be made, or of a cluster on demand that is there.

    reason: a value of `controlplane.model.reasons.Reason`. cluster: LOCATION/NAME of the one that is there, and `stage`
    how far it has come; both empty where there is none.
    """

    region: str
    reason: str
    message: str
    cluster: str = ""
    stage: str = ""
    next_try: datetime | None = None


@dataclass(frozen=True, slots=True)
class GrowthDecision:
    """The outcome of one pass for clusters on demand."""

    actions: tuple[GrowthAction, ...]
    memory: GrowthMemory
    verdicts: tuple[RegionVerdict, ...]


def takes_away(action: GrowthAction) -> bool:
    """Say whether an action cannot be taken back."""
    return isinstance(action, ClearCluster | UnregisterCluster | DeleteCluster)
