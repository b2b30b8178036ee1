"""The rules of a Job, as pure functions: completion indexes, how failures count, when to try again.

Kept apart from the controller because each has corner cases of its own that a table of examples shows best.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers.objects import annotations_of, condition, created_at, is_deleting, parse_time
from controlplane.localcloud.controllers.pods import phase_of

INDEX = "batch.kubernetes.io/job-completion-index"
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
FIRST_BACKOFF_SECONDS = 10.0
LONGEST_BACKOFF_SECONDS = 600.0

Action = Literal["Count", "Ignore", "FailJob", "FailIndex"]
_ACTIONS: Mapping[str, Action] = {"Ignore": "Ignore", "FailJob": "FailJob", "FailIndex": "FailIndex"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a failed Pod counts, and why, where a rule of the podFailurePolicy says so."""

    action: Action
    message: str = ""


def completions(job: Object) -> int:
    """Give how many ends it wants; 0 where it does not say."""
    return int(job["spec"].get("completions") or 0)


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Object) -> int | None:
    """Read the completion index of a Pod."""
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isdigit() else None


def parse_indexes(text: str | None) -> set[int]:
    """Read `1,3-5` as it stands in status.completedIndexes."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """Write indexes as `1,3-5`; two in a row are listed apart, as Kubernetes does."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(_run_text(run) for run in runs)


def _run_text(run: list[int]) -> str:
    if len(run) == 1:
        return str(run[0])
    return f"{run[0]}{'-' if len(run) > 2 else ','}{run[-1]}"


def next_indexes(completions: int, taken: set[int], count: int) -> list[int]:
    """Give the lowest indexes that are neither done nor running."""
    free = (index for index in range(completions) if index not in taken)
    return [index for index, _ in zip(free, range(count), strict=False)]


def replaces_only_failed(job: Object) -> bool:
    """Say whether a terminating Pod still counts as running until it has really ended."""
    spec = job["spec"]
    return bool(spec.get("podReplacementPolicy") == "Failed" or spec.get("podFailurePolicy"))


def has_failed(job: Object, pod: Object) -> bool:
    """Say whether the Pod counts as ended without success; one that is deleted does, unless its end is waited for."""
    phase = phase_of(pod)
    if phase == "Failed":
        return True
    return not replaces_only_failed(job) and is_deleting(pod) and phase != "Succeeded"


def judge(job: Object, pod: Object) -> Judgement:
    """Apply the podFailurePolicy: the first rule that matches decides; without one the failure counts."""
    rules: Sequence[Mapping[str, Any]] = (job["spec"].get("podFailurePolicy") or {}).get("rules") or []
    for number, rule in enumerate(rules):
        cause = _matches(rule, pod)
        if cause:
            meta = pod["metadata"]
            text = cause.format(pod=f"{meta['namespace']}/{meta['name']}")
            return Judgement(
                _ACTIONS.get(rule["action"], "Count"), f"{text} matching {rule['action']} rule at index {number}"
            )
    return Judgement("Count")


def _matches(rule: Mapping[str, Any], pod: Object) -> str:
    if codes := rule.get("onExitCodes"):
        for name, code in _exit_codes(pod):
            if codes.get("containerName") not in (None, name) or code == 0:
                continue
            if (code in codes["values"]) == (codes["operator"] == "In"):
                return f"Container {name} for pod {{pod}} failed with exit code {code}"
        return ""
    for pattern in rule.get("onPodConditions") or []:
        found = condition(pod.get("status"), pattern["type"])
        if found is not None and found.get("status") == pattern.get("status", "True"):
            return f"Pod {{pod}} has condition {pattern['type']}"
    return ""


def _exit_codes(pod: Object) -> Iterable[tuple[str, int]]:
    for container in _container_statuses(pod):
        ended = (container.get("state") or {}).get("terminated")
        if ended:
            yield container["name"], int(ended.get("exitCode") or 0)


def _container_statuses(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def by_index(job: Object) -> bool:
    """Say whether failures count for each index by itself (`backoffLimitPerIndex`)."""
    return is_indexed(job) and job["spec"].get("backoffLimitPerIndex") is not None


def index_failures(pod: Object) -> int:
    """Read how often its index had failed before this Pod."""
    text = annotations_of(pod).get(INDEX_FAILURES, "")
    return int(text) if text.isdigit() else 0


def failures_of(job: Object, pods: Iterable[Object], index: int) -> int:
    """Give how often an index has failed so far, by the Pods that are known; each new one carries the count on."""
    counts = [0]
    for pod in pods:
        if index_of(pod) == index:
            counted = has_failed(job, pod) and judge(job, pod).action == "Count"
            counts.append(index_failures(pod) + counted)
    return max(counts)


def gives_index_up(job: Object, pod: Object) -> bool:
    """Say whether the failure of this Pod is the last of its index."""
    action = judge(job, pod).action
    used_up = index_failures(pod) >= int(job["spec"].get("backoffLimitPerIndex") or 0)
    return action == "FailIndex" or (action == "Count" and used_up)


def seconds_to_retry_index(job: Object, pods: Iterable[Object], index: int, now: datetime) -> float:
    """Give how long to wait before an index is tried again: 10 s, doubled by each of its own failures."""
    ended = [pod for pod in pods if index_of(pod) == index and has_failed(job, pod)]
    counted = [finished_at(pod) for pod in ended if judge(job, pod).action == "Count"]
    if not counted:
        return 0.0
    number = failures_of(job, ended, index)
    delay = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(number - 1, 30), LONGEST_BACKOFF_SECONDS)
    return max(0.0, (max(counted) + timedelta(seconds=delay) - now).total_seconds())


def finished_at(pod: Object) -> datetime:
    """Give when the Pod ended, as well as can be told."""
    ended = [(c.get("state") or {}).get("terminated") or {} for c in _container_statuses(pod)]
    stamps = [when for e in ended if (when := parse_time(e.get("finishedAt"))) is not None]
    return max(stamps) if stamps else parse_time(pod["metadata"].get("deletionTimestamp")) or created_at(pod)


def seconds_to_retry(job: Object, pods: Sequence[Object], now: datetime) -> float:
    """Give how long to wait before replacing failed Pods: 10 s, doubled by each failure since the last success."""
    successes = [finished_at(pod) for pod in pods if phase_of(pod) == "Succeeded"]
    last_success = max(successes, default=None)
    failures = [
        when
        for pod in pods
        if has_failed(job, pod) and judge(job, pod).action == "Count"
        if (when := finished_at(pod)) and (last_success is None or when > last_success)
    ]
    if not failures:
        return 0.0
    # Failed Pods may have been cleared away; while nothing has succeeded, the status knows them all.
    counted = 0 if last_success else int((job.get("status") or {}).get("failed") or 0)
    number = max(len(failures), counted)
    delay = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(number - 1, 30), LONGEST_BACKOFF_SECONDS)
    return max(0.0, (max(failures) + timedelta(seconds=delay) - now).total_seconds())


def restarts_exceed(job: Object, pods: Iterable[Object]) -> bool:
    """Say whether restarts in place, with restartPolicy OnFailure, used the backoffLimit up."""
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        int(container.get("restartCount") or 0)
        for pod in pods
        if phase_of(pod) in ("Running", "Pending")
        for container in _container_statuses(pod)
    )
    limit = backoff_limit(job)
    return restarts > 0 if limit == 0 else restarts >= limit


def backoff_limit(job: Object) -> int:
    limit = job["spec"].get("backoffLimit")
    return 6 if limit is None else int(limit)
