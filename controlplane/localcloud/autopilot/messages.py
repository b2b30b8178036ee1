"""What the autoscaler says in Events, word for word as GKE's does."""

from collections.abc import Iterable

from controlplane.localcloud.scenario import ClusterSpec

LONGEST = 250

OUT_OF_RESOURCES = "GCE out of resources"
QUOTA_EXCEEDED = "GCE quota exceeded"
IP_SPACE_EXHAUSTED = "IP space exhausted"

IN_BACKOFF = "pod didn't trigger scale-up: 1 in backoff after failed scale-up"


def triggered(cluster: ClusterSpec, zone: str, group: str, size: int) -> str:
    """Say which instance group grows by one."""
    url = f"https://www.googleapis.com/compute/v1/projects/{cluster.project}/zones/{zone}/instanceGroups/{group}-grp"
    return f"pod triggered scale-up: [{{{url} {size}->{size + 1} (max: 1000)}}]"


def failed(zones: Iterable[str], reasons: Iterable[str]) -> str:
    """Say in which zones a scale-up failed and why; cut where GKE cuts it."""
    where, why = ", ".join(zones), ", ".join(dict.fromkeys(reasons))
    text = (
        f"Node scale up in zones {where} associated with this pod failed: {why}. Pod is at risk of not being scheduled."
    )
    return text[:LONGEST]


def timed_out(group: str) -> str:
    """Say that VMs were ordered and never came up."""
    return f'Some nodes in node group ["{group}-grp"] failed to appear in time'


def would_not_fit(groups: int) -> str:
    """Say that no node which could be made would take the Pod; also for a GPU type that the region does not have."""
    return (
        "pod didn't trigger scale-up (it wouldn't fit if a new node is added): "
        f"{groups} node(s) didn't match Pod's node affinity/selector"
    )
