"""What the workload controllers need to know of a Pod: is it up, since when, and which one goes first."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers.objects import (
    annotations_of,
    clone,
    condition,
    condition_is,
    controller_reference,
    created_at,
    is_deleting,
    parse_time,
    uid_of,
)

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}


def phase_of(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_finished(pod: Object) -> bool:
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """Say whether the Pod runs or will run."""
    return not is_finished(pod) and not is_deleting(pod)


def is_ready(pod: Object) -> bool:
    return condition_is(pod, "Ready")


def ready_since(pod: Object) -> datetime | None:
    found = condition(pod.get("status"), "Ready")
    if found is None or found.get("status") != "True":
        return None
    return parse_time(found.get("lastTransitionTime"))


def seconds_to_available(pod: Object, min_ready_seconds: int, now: datetime) -> float | None:
    """Give how long until the Pod counts as available: 0 now, None when it is not even ready."""
    if not is_ready(pod):
        return None
    since = ready_since(pod)
    if min_ready_seconds == 0:
        return 0.0
    if since is None:
        return None
    return max(0.0, (since + timedelta(seconds=min_ready_seconds) - now).total_seconds())


def from_template(template: Mapping[str, Any], owner: Object, prefix: str | None = None) -> Object:
    """Give the Pod that a template describes, managed by the owner, with a generated name."""
    meta = template.get("metadata") or {}
    metadata: Object = {
        "generateName": prefix or f"{owner['metadata']['name']}-",
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [controller_reference(owner)],
    }
    for field in ("labels", "annotations", "finalizers"):
        if meta.get(field):
            metadata[field] = clone(meta[field])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": clone(template["spec"])}


def deletion_order(
    pods: Sequence[Object], now: datetime, companions: Callable[[Object], int] = lambda _: 0
) -> list[Object]:
    """Order Pods as Kubernetes does: first what is lost least by deleting it.

    `companions` says how many Pods of the same workload share the Pod's node; crowded nodes lose Pods first.
    """
    return sorted(pods, key=lambda pod: _rank(pod, now, companions(pod)))


def _rank(pod: Object, now: datetime, companions: int) -> tuple[Any, ...]:
    since = ready_since(pod)
    created = created_at(pod)
    ready = is_ready(pod)
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASE_ORDER.get(phase_of(pod), 2),
        ready,
        deletion_cost(pod),
        -companions,
        _magnitude(since, now) if ready else 0,
        -_restarts(pod),
        _magnitude(created, now),
        uid_of(pod),
    )


def deletion_cost(pod: Object) -> int:
    """Read the annotation with which a user says which Pods are dear; nonsense counts as 0."""
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _magnitude(since: datetime | None, now: datetime) -> int:
    """Give the order of magnitude of an age: ages that differ little count as equal, so that victims are spread."""
    if since is None:
        return 0
    age = (now - since).total_seconds()
    return int(math.log2(age * 1e9)) if age > 0 else -1


def _restarts(pod: Object) -> int:
    return max(
        (int(c.get("restartCount") or 0) for c in (pod.get("status") or {}).get("containerStatuses") or []), default=0
    )
