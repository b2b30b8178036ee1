"""The status of a Deployment: its counts and its conditions Available, Progressing and ReplicaFailure, with reasons.

`kubectl rollout status` and our own reconciler read a rollout's fate from these, the deadline included.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.clock import rfc3339
from controlplane.localcloud.controllers.objects import condition, nonzero, parse_time
from controlplane.localcloud.controllers.rollout import max_unavailable, replicas_of

NO_DEADLINE = 2**31 - 1


def with_deployment_condition(conditions: Sequence[Object], new: Object, now: datetime) -> list[Object]:
    """Put a condition in; the same status and reason change nothing, so that the deadline keeps its anchor."""
    stamp = rfc3339(now)
    old = next((c for c in conditions if c["type"] == new["type"]), None)
    if old is not None and old["status"] == new["status"] and old["reason"] == new["reason"]:
        return list(conditions)
    moved = old["lastTransitionTime"] if old is not None and old["status"] == new["status"] else stamp
    fresh = {**new, "lastUpdateTime": stamp, "lastTransitionTime": moved}
    return [*(c for c in conditions if c["type"] != new["type"]), fresh]


def progressing(status: str, reason: str, message: str) -> Object:
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}


def has_deadline(deployment: Object) -> bool:
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return seconds is not None and seconds != NO_DEADLINE


def counted(deployment: Object, sets: Sequence[Object], new: Object | None, now: datetime) -> Object:
    """Give the status with fresh counts and the Available condition; the other conditions stay as they are."""
    wanted = replicas_of(deployment)
    available = _sum(sets, "availableReplicas")
    whole = sum(replicas_of(rs) for rs in sets)
    old = deployment.get("status") or {}
    counts = nonzero(
        observedGeneration=deployment["metadata"].get("generation"),
        replicas=_sum(sets, "replicas"),
        updatedReplicas=_sum([new] if new else [], "replicas"),
        readyReplicas=_sum(sets, "readyReplicas"),
        availableReplicas=available,
        unavailableReplicas=max(0, whole - available),
        collisionCount=old.get("collisionCount"),
    )
    enough = available >= wanted - max_unavailable(deployment)
    verdict = {
        "type": "Available",
        "status": "True" if enough else "False",
        "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
    }
    return {**counts, "conditions": with_deployment_condition(old.get("conditions") or [], verdict, now)}


def judged(deployment: Object, status: Object, sets: Sequence[Object], new: Object | None, now: datetime) -> Object:
    """Give the counted status with Progressing and ReplicaFailure judged."""
    conditions: list[Object] = status["conditions"]
    current = condition(deployment.get("status"), "Progressing")
    if not has_deadline(deployment):
        conditions = [c for c in conditions if c["type"] != "Progressing"]
    elif not _was_complete(status, current):
        conditions = _judge_progress(deployment, status, current, new, now)
    failure = _replica_failure(sets, new)
    if failure is None:
        conditions = [c for c in conditions if c["type"] != "ReplicaFailure"]
    else:
        conditions = with_deployment_condition(conditions, failure, now)
    return {**status, "conditions": conditions}


def _was_complete(status: Object, current: Object | None) -> bool:
    """Say whether the rollout was over already: then losing a Pod is no reason to speak of progress again."""
    whole = int(status.get("replicas") or 0) == int(status.get("updatedReplicas") or 0)
    return whole and current is not None and current["reason"] == "NewReplicaSetAvailable"


def _judge_progress(
    deployment: Object, status: Object, current: Object | None, new: Object | None, now: datetime
) -> list[Object]:
    conditions: list[Object] = status["conditions"]
    name = deployment["metadata"]["name"]
    subject = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{name}"'
    if is_complete(deployment, status):
        verdict = progressing("True", "NewReplicaSetAvailable", f"{subject} has successfully progressed.")
        return with_deployment_condition(conditions, verdict, now)
    if _has_progressed(deployment, status):
        verdict = progressing("True", "ReplicaSetUpdated", f"{subject} is progressing.")
        # Progress moves the deadline, so the update time is written even where nothing else differs.
        rest = [c for c in conditions if c["type"] != "Progressing"]
        stamp = rfc3339(now)
        moved = current["lastTransitionTime"] if current is not None and current["status"] == "True" else stamp
        return [*rest, {**verdict, "lastUpdateTime": stamp, "lastTransitionTime": moved}]
    if _is_overdue(deployment, current, now):
        verdict = progressing("False", "ProgressDeadlineExceeded", f"{subject} has timed out progressing.")
        return with_deployment_condition(conditions, verdict, now)
    return conditions


def is_complete(deployment: Object, status: Object) -> bool:
    """Say whether every Pod is of the new template and available, and no old one is left."""
    wanted = replicas_of(deployment)
    counts = [int(status.get(name) or 0) for name in ("updatedReplicas", "replicas", "availableReplicas")]
    seen = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
    return seen and all(count == wanted for count in counts)


def _has_progressed(deployment: Object, status: Object) -> bool:
    before = deployment.get("status") or {}

    def count(of: Object, name: str) -> int:
        return int(of.get(name) or 0)

    old_before = count(before, "replicas") - count(before, "updatedReplicas")
    old_now = count(status, "replicas") - count(status, "updatedReplicas")
    growing = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old_now < old_before or any(count(status, name) > count(before, name) for name in growing)


def _is_overdue(deployment: Object, current: Object | None, now: datetime) -> bool:
    if current is None or current["reason"] == "NewReplicaSetAvailable":
        return False
    if current["reason"] == "ProgressDeadlineExceeded":
        return True
    left = seconds_to_deadline(deployment, current, now)
    return left is not None and left < 0


def seconds_to_deadline(deployment: Object, current: Object | None, now: datetime) -> float | None:
    """Give the seconds until the rollout counts as stuck; None when no deadline runs."""
    if current is None or not has_deadline(deployment):
        return None
    since = parse_time(current.get("lastUpdateTime"))
    if since is None:
        return None
    deadline = since + timedelta(seconds=int(deployment["spec"]["progressDeadlineSeconds"]))
    return (deadline - now).total_seconds()


def recheck_after(deployment: Object, status: Object, now: datetime) -> float | None:
    """Give the seconds after which a rollout that moves no more is to be looked at."""
    current = condition(status, "Progressing")
    if current is None or is_complete(deployment, status):
        return None
    if current["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused"):
        return None
    left = seconds_to_deadline(deployment, current, now)
    return None if left is None else max(left, 0.0) + 1.0


def _replica_failure(sets: Sequence[Object], new: Object | None) -> Object | None:
    for rs in [*([new] if new else []), *sets]:
        found = condition(rs.get("status"), "ReplicaFailure")
        if found is not None:
            return {name: found.get(name, "") for name in ("type", "status", "reason", "message")}
    return None


def _sum(sets: Sequence[Object], name: str) -> int:
    return sum(int((rs.get("status") or {}).get(name) or 0) for rs in sets)
