"""The Pods of a Job: how each is made, and how each end is counted exactly once.

Every Pod carries a finalizer, so that none can disappear uncounted. An ended Pod is first noted by uid in the status,
then loses its finalizer, and only then moves from the note to the counters: whichever of the three writes is the last
before a crash, the next look goes on from there and counts nobody twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.localcloud.apiserver.api import Api, ApiError, Object
from controlplane.localcloud.controllers import jobrules
from controlplane.localcloud.controllers.jobstatus import JobStatus
from controlplane.localcloud.controllers.objects import clone, key_of, uid_of
from controlplane.localcloud.controllers.pods import from_template, phase_of

TRACKING = "batch.kubernetes.io/job-tracking"
_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid", "batch.kubernetes.io/job-name", "job-name")


def is_tracked(pod: Object) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or [])


def untrack(api: Api, pod: Object) -> None:
    """Let a Pod go that is counted, or need not be."""
    namespace, name = key_of(pod)
    present = api.find("pods", name, namespace)
    if present is None or uid_of(present) != uid_of(pod) or not is_tracked(present):
        return
    kept = [finalizer for finalizer in present["metadata"]["finalizers"] if finalizer != TRACKING]
    guard = {"uid": uid_of(pod), "resourceVersion": present["metadata"]["resourceVersion"]}
    try:
        api.patch("pods", name, {"metadata": {**guard, "finalizers": kept or None}}, namespace)
    except ApiError as error:
        if error.code != 404:
            raise


def new_pod(job: Object, index: int | None, failures: int = 0) -> Object:
    """Give the next Pod of a Job, with its completion index where the Job has such, and how often that has failed."""
    name = job["metadata"]["name"]
    pod = from_template(job["spec"]["template"], job, f"{name}-" if index is None else f"{name}-{index}-")
    meta = pod["metadata"]
    uid = uid_of(job)
    labels = meta.setdefault("labels", {})
    for label, value in zip(_LABELS, (uid, uid, name, name), strict=True):
        labels.setdefault(label, value)
    meta["finalizers"] = [*meta.get("finalizers", []), TRACKING]
    if index is not None:
        labels[jobrules.INDEX] = str(index)
        meta.setdefault("annotations", {})[jobrules.INDEX] = str(index)
        if jobrules.by_index(job):
            meta["annotations"][jobrules.INDEX_FAILURES] = str(failures)
        pod["spec"].setdefault("hostname", f"{name}-{index}")
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            _add_index_variable(container)
    return pod


def _add_index_variable(container: Object) -> None:
    variables = container.setdefault("env", [])
    if not any(variable["name"] == "JOB_COMPLETION_INDEX" for variable in variables):
        source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{jobrules.INDEX}']"}}
        variables.append({"name": "JOB_COMPLETION_INDEX", "valueFrom": source})


@dataclass(frozen=True, slots=True)
class Ends:
    """The Pods that ended and are not yet counted."""

    succeeded: tuple[Object, ...]
    failed: tuple[Object, ...]
    ignored: tuple[Object, ...]
    fatal: str = ""

    def all(self) -> tuple[Object, ...]:
        return (*self.succeeded, *self.failed, *self.ignored)


def ends(job: Object, pods: Sequence[Object]) -> Ends:
    """Sort the ended Pods out; `fatal` is the failure policy's reason to give the whole Job up."""
    succeeded: list[Object] = []
    failed: list[Object] = []
    ignored: list[Object] = []
    fatal = ""
    for pod in pods:
        if not is_tracked(pod):
            continue
        if phase_of(pod) == "Succeeded":
            succeeded.append(pod)
        elif jobrules.has_failed(job, pod):
            judgement = jobrules.judge(job, pod)
            (ignored if judgement.action == "Ignore" else failed).append(pod)
            if judgement.action == "FailJob":
                fatal = fatal or judgement.message
    return Ends(tuple(succeeded), tuple(failed), tuple(ignored), fatal)


class Ledger:
    """Counts the ends of one Job's Pods."""

    def __init__(self, api: Api, status: JobStatus) -> None:
        self._api, self._status = api, status

    def settle(self, job: Object, pods: Sequence[Object], found: Ends) -> Object:
        """Count what ended; give the Job with its new counters."""
        status = clone(job.get("status") or {})
        noted = status.setdefault("uncountedTerminatedPods", {})
        tracked = {uid_of(pod) for pod in pods if is_tracked(pod)}
        _note(noted, "failed", found.failed)
        if jobrules.is_indexed(job):
            self._note_indexes(job, status, found)
        else:
            _note(noted, "succeeded", found.succeeded)
        pending = set(noted.get("succeeded", ())) | set(noted.get("failed", ()))
        if not found.all() and not pending:
            return job
        if found.all():
            job = self._status.write(job, status)
            for pod in found.all():
                untrack(self._api, pod)
        elif pending & tracked:
            for pod in pods:
                if uid_of(pod) in pending:
                    untrack(self._api, pod)
        status = clone(job.get("status") or {})
        noted = status.pop("uncountedTerminatedPods", {})
        for name in ("succeeded", "failed"):
            count = int(status.get(name) or 0) + len(noted.get(name, ()))
            if count:
                status[name] = count
        status["uncountedTerminatedPods"] = {}
        return self._status.write(job, status)

    @staticmethod
    def _note_indexes(job: Object, status: Object, found: Ends) -> None:
        completions = jobrules.completions(job)
        indexes = jobrules.parse_indexes(status.get("completedIndexes"))
        indexes.update(i for pod in found.succeeded if (i := jobrules.index_of(pod)) is not None and i < completions)
        if indexes:
            status["completedIndexes"] = jobrules.format_indexes(indexes)
            status["succeeded"] = len(indexes)
        if jobrules.by_index(job):
            given_up = jobrules.parse_indexes(status.get("failedIndexes"))
            ended = (pod for pod in found.failed if jobrules.gives_index_up(job, pod))
            given_up.update(index for pod in ended if (index := jobrules.index_of(pod)) is not None)
            status["failedIndexes"] = jobrules.format_indexes(given_up - indexes)


def _note(noted: Object, name: str, pods: Sequence[Object]) -> None:
    if pods:
        known = noted.get(name, [])
        noted[name] = [*known, *(uid_of(pod) for pod in pods if uid_of(pod) not in known)]
