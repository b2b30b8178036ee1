"""Clusters on demand, as values: what was seen of clusters and memberships, and what of them outlives a pass.

Clusters that we make carry `LABEL: ON_DEMAND`. What lacks it is never changed or deleted, whatever a memory says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from controlplane.model.offering import ClusterRef

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
