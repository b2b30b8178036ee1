"""How and when a Job ends: the verdict, as pure functions of the Job, its Pods and the time.

Kubernetes says a verdict first (FailureTarget, SuccessCriteriaMet) and ends the Job (Failed, Complete) when no Pod runs
any more. A verdict that was said stands, whatever is seen later.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers import jobrules, pods
from controlplane.localcloud.controllers.jobstatus import new_condition
from controlplane.localcloud.controllers.objects import condition, condition_is, parse_time


def is_over(job: Object) -> bool:
    """Say whether it has ended."""
    return condition_is(job, "Complete") or condition_is(job, "Failed")


def verdict(job: Object, mine: Sequence[Object], fatal: str, now: datetime) -> Object | None:
    """Give the condition that says how the Job ends, once that is certain."""
    status = job.get("status") or {}
    for kind in ("FailureTarget", "SuccessCriteriaMet"):
        known = condition(status, kind)
        if known is not None and known["status"] == "True":
            return known
    if fatal:
        return new_condition("FailureTarget", "PodFailurePolicy", fatal)
    if int(status.get("failed") or 0) > jobrules.backoff_limit(job) or jobrules.restarts_exceed(job, mine):
        return new_condition("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    left = seconds_left(job, now)
    if left is not None and left <= 0:
        return new_condition("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
    failed = jobrules.parse_indexes(status.get("failedIndexes"))
    most = job["spec"].get("maxFailedIndexes")
    if most is not None and len(failed) > int(most):
        return new_condition(
            "FailureTarget",
            "MaxFailedIndexesExceeded",
            "Job has exceeded the specified maximal number of failed indexes",
        )
    if failed and len(failed | jobrules.parse_indexes(status.get("completedIndexes"))) >= jobrules.completions(job):
        return new_condition("FailureTarget", "FailedIndexes", "Job has failed indexes")
    if _is_complete(job, mine):
        return new_condition("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")
    return None


def seconds_left(job: Object, now: datetime) -> float | None:
    """Give the seconds until its deadline; None where no time is running."""
    limit = job["spec"].get("activeDeadlineSeconds")
    started = parse_time((job.get("status") or {}).get("startTime"))
    if limit is None or started is None or job["spec"].get("suspend") or condition_is(job, "Suspended"):
        return None  # a suspended Job's time does not run, and begins anew when it is resumed
    return (started + timedelta(seconds=int(limit)) - now).total_seconds()


def seconds_to_live(job: Object, now: datetime) -> float | None:
    """Give the seconds for which a finished Job is kept; None where it is kept for ever."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return None
    last = next(c for c in job["status"]["conditions"] if c["type"] in ("Complete", "Failed") and c["status"] == "True")
    ended = parse_time(last.get("lastTransitionTime")) or now
    return (ended + timedelta(seconds=int(ttl)) - now).total_seconds()


def _is_complete(job: Object, mine: Sequence[Object]) -> bool:
    succeeded = int((job.get("status") or {}).get("succeeded") or 0)
    completions = job["spec"].get("completions")
    if completions is None:
        return succeeded > 0 and not any(pods.is_active(pod) for pod in mine)
    return succeeded >= int(completions)
