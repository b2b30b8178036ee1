"""How many Pods of a Job run: missing ones are started, with a rest after failures, and surplus ones stopped.

Which indexes are to run and how long a failure rests is told by `jobrules.py`; here is what is done about it.
"""

from collections.abc import Sequence

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers import jobrules, pods
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.jobpods import new_pod, untrack
from controlplane.localcloud.controllers.objects import is_deleting, key_of, uid_of
from controlplane.localcloud.controllers.scaling import namespace_is_ending, slow_start

BURST = 500


class JobScaler:
    """Starts and stops Pods of Jobs."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder) -> None:
        self._informer, self._api = informer, informer.api
        self._clock, self._recorder = clock, recorder

    def scale(self, job: Object, mine: Sequence[Object]) -> tuple[float | None, ApiError | None]:
        """Start or stop Pods; give (seconds to wait before trying again, the error that stopped creation)."""
        active = [pod for pod in mine if pods.is_active(pod)]
        wanted = _wanted(job, len(active))
        if len(active) > wanted:
            for pod in pods.deletion_order(active, self._clock.now())[: len(active) - wanted]:
                untrack(self._api, pod)
                self.stop(job, pod)
            return None, None
        ending = [pod for pod in mine if is_deleting(pod) and not pods.is_finished(pod)]
        missing = wanted - len(active) - (len(ending) if jobrules.replaces_only_failed(job) else 0)
        if missing <= 0:
            return None, None
        if jobrules.by_index(job):
            return self._start_indexes(job, mine, min(missing, BURST))
        wait = jobrules.seconds_to_retry(job, mine, self._clock.now())
        if wait > 0:
            return wait, None
        return None, self._start(job, active, ending, min(missing, BURST))

    def stop(self, job: Object, pod: Object) -> None:
        """Stop one Pod, and say so. Raises ApiError, but not for one that is gone."""
        namespace, name = key_of(pod)
        try:
            self._api.delete("pods", name, namespace, uid=uid_of(pod))
        except ApiError as error:
            if error.code != 404:
                self._recorder.record(job, "Warning", "FailedDelete", f"Error deleting: {error.message}")
                raise
        else:
            self._recorder.record(job, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

    def _start(self, job: Object, active: list[Object], ending: list[Object], count: int) -> ApiError | None:
        if not jobrules.is_indexed(job):
            return slow_start(count, lambda: self._create(job, None))
        taken = jobrules.parse_indexes((job.get("status") or {}).get("completedIndexes"))
        holding = [*active, *(ending if jobrules.replaces_only_failed(job) else [])]
        taken |= {index for pod in holding if (index := jobrules.index_of(pod)) is not None}
        free = jobrules.next_indexes(jobrules.completions(job), taken, count)
        following = iter(free)
        return slow_start(len(free), lambda: self._create(job, next(following)))

    def _start_indexes(self, job: Object, mine: Sequence[Object], count: int) -> tuple[float | None, ApiError | None]:
        """Start the lowest indexes that are neither ended, nor running, nor at rest after a failure of their own."""
        status, now = job.get("status") or {}, self._clock.now()
        taken = jobrules.parse_indexes(status.get("completedIndexes"))
        taken |= jobrules.parse_indexes(status.get("failedIndexes"))
        held = (pod for pod in mine if not pods.is_finished(pod))
        taken |= {index for pod in held if (index := jobrules.index_of(pod)) is not None}
        failed = {index for pod in mine if (index := jobrules.index_of(pod)) is not None} - taken
        rests = {index: jobrules.seconds_to_retry_index(job, mine, index, now) for index in failed}
        resting = {index: wait for index, wait in rests.items() if wait > 0}
        free = jobrules.next_indexes(jobrules.completions(job), taken | resting.keys(), count)
        following = iter([(index, jobrules.failures_of(job, mine, index)) for index in free])
        error = slow_start(len(free), lambda: self._create(job, *next(following)))
        return min(resting.values(), default=None), error

    def _create(self, job: Object, index: int | None, failures: int = 0) -> ApiError | None:
        try:
            pod = self._informer.create("pods", new_pod(job, index, failures), job["metadata"]["namespace"])
        except ApiError as error:
            if not namespace_is_ending(error):
                self._recorder.record(job, "Warning", "FailedCreate", f"Error creating: {error.message}")
            return error
        self._recorder.record(job, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        return None


def _wanted(job: Object, active: int) -> int:
    succeeded = int((job.get("status") or {}).get("succeeded") or 0)
    spec = job["spec"]
    parallelism = int(spec.get("parallelism", 1))
    if spec.get("completions") is None:
        return min(active, parallelism) if succeeded else parallelism
    given_up = len(jobrules.parse_indexes((job.get("status") or {}).get("failedIndexes")))
    return max(0, min(int(spec["completions"]) - succeeded - given_up, parallelism))
