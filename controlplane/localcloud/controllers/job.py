"""Job: runs Pods until enough of them have succeeded, or too many have failed, or the time is up."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from controlplane.localcloud.apiserver.api import ApiError, Change, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers import jobrules, pods
from controlplane.localcloud.controllers.adoption import claim
from controlplane.localcloud.controllers.backoff import Backoff
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.jobpods import RESOURCE, Ledger, ends, is_tracked, new_pod, untrack
from controlplane.localcloud.controllers.objects import (
    clone,
    condition,
    condition_is,
    controller_of,
    is_deleting,
    key_of,
    own_key,
    parse_time,
    uid_of,
)
from controlplane.localcloud.controllers.runtime import Controller, Key
from controlplane.localcloud.controllers.scaling import namespace_is_ending, slow_start

BURST = 500
UID_LABEL = "batch.kubernetes.io/controller-uid"


class JobController:
    """Reconciles Jobs."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._recorder = recorder
        self._ledger = Ledger(informer.api)
        self._backoff = Backoff()
        self.loop = Controller(
            "job", informer, clock, sources={RESOURCE: own_key, "pods": _keys_of_pod}, reconcile=self.reconcile
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    async def reconcile(self, key: Key) -> float | None:
        """Bring one Job closer to its end."""
        job = self._api.find(RESOURCE, key[1], key[0])
        if job is None or is_deleting(job):
            self._release_pods(key, job)
            return None
        if job["spec"].get("managedBy") not in (None, "kubernetes.io/job-controller"):
            return None
        selector = job["spec"].get("selector") or {"matchLabels": {UID_LABEL: uid_of(job)}}
        mine = claim(self._informer, "pods", job, selector)
        if is_over(job):
            for pod in mine:
                untrack(self._api, pod)
            return self._expire(job)
        job = self._begin(job)
        found = ends(job, mine)
        job = self._ledger.settle(job, mine, found)
        mine = self._reread(job)
        verdict = self._verdict(job, mine, found.fatal)
        if verdict is not None:
            self._wind_up(job, mine, verdict)
            return None
        if job["spec"].get("suspend"):
            self._suspend(job, mine)
            return None
        job = self._resume(job)
        wait, failure = self._manage(job, mine)
        self._report(job, self._reread(job))
        if failure is not None:
            return self._backoff.failed(key)
        self._backoff.forget(key)
        waits = [left for left in (wait, self._seconds_left(job)) if left is not None]
        return min(waits, default=None)

    # --- beginning and end

    def _begin(self, job: Object) -> Object:
        status = job.get("status") or {}
        if status.get("startTime") or job["spec"].get("suspend"):
            return job
        return self._write(job, {**status, "startTime": rfc3339(self._clock.now())})

    def _verdict(self, job: Object, mine: Sequence[Object], fatal: str) -> Object | None:
        """Give the condition that says how the Job ends, once that is certain."""
        status = job.get("status") or {}
        for kind in ("FailureTarget", "SuccessCriteriaMet"):
            known = condition(status, kind)
            if known is not None and known["status"] == "True":
                return known
        if fatal:
            return _condition("FailureTarget", "PodFailurePolicy", fatal)
        if int(status.get("failed") or 0) > jobrules.backoff_limit(job) or jobrules.restarts_exceed(job, mine):
            return _condition("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        left = self._seconds_left(job)
        if left is not None and left <= 0:
            return _condition("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
        failed = jobrules.parse_indexes(status.get("failedIndexes"))
        most = job["spec"].get("maxFailedIndexes")
        if most is not None and len(failed) > int(most):
            return _condition(
                "FailureTarget",
                "MaxFailedIndexesExceeded",
                "Job has exceeded the specified maximal number of failed indexes",
            )
        if failed and len(failed | jobrules.parse_indexes(status.get("completedIndexes"))) >= _completions(job):
            return _condition("FailureTarget", "FailedIndexes", "Job has failed indexes")
        if self._is_complete(job, mine):
            return _condition("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")
        return None

    @staticmethod
    def _is_complete(job: Object, mine: Sequence[Object]) -> bool:
        succeeded = int((job.get("status") or {}).get("succeeded") or 0)
        completions = job["spec"].get("completions")
        if completions is None:
            return succeeded > 0 and not any(pods.is_active(pod) for pod in mine)
        return succeeded >= int(completions)

    def _seconds_left(self, job: Object) -> float | None:
        limit = job["spec"].get("activeDeadlineSeconds")
        started = parse_time((job.get("status") or {}).get("startTime"))
        if limit is None or started is None or job["spec"].get("suspend") or condition_is(job, "Suspended"):
            return None  # a suspended Job's time does not run, and begins anew when it is resumed
        return (started + timedelta(seconds=int(limit)) - self._clock.now()).total_seconds()

    def _wind_up(self, job: Object, mine: Sequence[Object], verdict: Object) -> None:
        """Say how it ends, stop what still runs, and close the Job when nothing runs any more."""
        done = verdict["type"] == "SuccessCriteriaMet"
        job = self._with_conditions(job, verdict)
        for pod in mine:
            if pods.is_active(pod):
                if done:
                    untrack(self._api, pod)  # not needed any more: no failure
                self._stop(job, pod)
        mine = self._reread(job)
        self._report(job, mine)
        if any(not pods.is_finished(pod) for pod in mine):
            return
        namespace, name = key_of(job)
        job = self._ledger.settle(self._api.get(RESOURCE, name, namespace), mine, ends(job, mine))
        last = {**verdict, "type": "Complete" if done else "Failed"}
        status = clone(job.get("status") or {})
        if done:
            status["completionTime"] = rfc3339(self._clock.now())
        self._with_conditions({**job, "status": status}, last)
        if done:
            self._recorder.record(job, "Normal", "Completed", "Job completed")
        else:
            self._recorder.record(job, "Warning", last["reason"], last["message"])

    def _expire(self, job: Object) -> float | None:
        """Delete a finished Job whose time to live is over."""
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None:
            return None
        last = next(
            c for c in job["status"]["conditions"] if c["type"] in ("Complete", "Failed") and c["status"] == "True"
        )
        ended = parse_time(last.get("lastTransitionTime")) or self._clock.now()
        left = (ended + timedelta(seconds=int(ttl)) - self._clock.now()).total_seconds()
        if left > 0:
            return left
        namespace, name = key_of(job)
        self._api.delete(RESOURCE, name, namespace, propagation="Foreground", uid=uid_of(job))
        return None

    def _release_pods(self, key: Key, job: Object | None) -> None:
        """Take the finalizer off the Pods of a Job that is going or gone: nobody will count them any more."""
        self._backoff.forget(key)
        for pod in self._informer.in_namespace(key[0], "pods"):
            owner = controller_of(pod)
            if owner is None or owner["kind"] != "Job" or owner["name"] != key[1]:
                continue
            if is_tracked(pod) and (job is None or owner["uid"] == uid_of(job)):
                untrack(self._api, pod)

    # --- suspension

    def _suspend(self, job: Object, mine: Sequence[Object]) -> None:
        for pod in mine:
            if pods.is_active(pod):
                untrack(self._api, pod)  # stopped on request: no failure
                self._stop(job, pod)
        if not condition_is(job, "Suspended"):
            job = self._with_conditions(job, _condition("Suspended", "JobSuspended", "Job suspended"))
            self._recorder.record(job, "Normal", "Suspended", "Job suspended")
        self._report(job, self._reread(job))

    def _resume(self, job: Object) -> Object:
        if not condition_is(job, "Suspended"):
            return job
        verdict = {**_condition("Suspended", "JobResumed", "Job resumed"), "status": "False"}
        status = {**clone(job["status"]), "startTime": rfc3339(self._clock.now())}
        job = self._with_conditions({**job, "status": status}, verdict)
        self._recorder.record(job, "Normal", "Resumed", "Job resumed")
        return job

    # --- Pods

    def _manage(self, job: Object, mine: Sequence[Object]) -> tuple[float | None, ApiError | None]:
        """Start or stop Pods; give (seconds to wait before trying again, the error that stopped creation)."""
        active = [pod for pod in mine if pods.is_active(pod)]
        wanted = self._wanted(job, len(active))
        if len(active) > wanted:
            for pod in pods.deletion_order(active, self._clock.now())[: len(active) - wanted]:
                untrack(self._api, pod)
                self._stop(job, pod)
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

    @staticmethod
    def _wanted(job: Object, active: int) -> int:
        succeeded = int((job.get("status") or {}).get("succeeded") or 0)
        spec = job["spec"]
        parallelism = int(spec.get("parallelism", 1))
        if spec.get("completions") is None:
            return min(active, parallelism) if succeeded else parallelism
        given_up = len(jobrules.parse_indexes((job.get("status") or {}).get("failedIndexes")))
        return max(0, min(int(spec["completions"]) - succeeded - given_up, parallelism))

    def _start(self, job: Object, active: list[Object], ending: list[Object], count: int) -> ApiError | None:
        if not jobrules.is_indexed(job):
            return slow_start(count, lambda: self._create(job, None))
        taken = jobrules.parse_indexes((job.get("status") or {}).get("completedIndexes"))
        holding = [*active, *(ending if jobrules.replaces_only_failed(job) else [])]
        taken |= {index for pod in holding if (index := jobrules.index_of(pod)) is not None}
        free = jobrules.next_indexes(int(job["spec"].get("completions") or 0), taken, count)
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
        free = jobrules.next_indexes(_completions(job), taken | resting.keys(), count)
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

    def _stop(self, job: Object, pod: Object) -> None:
        namespace, name = key_of(pod)
        try:
            self._api.delete("pods", name, namespace, uid=uid_of(pod))
        except ApiError as error:
            if error.code != 404:
                self._recorder.record(job, "Warning", "FailedDelete", f"Error deleting: {error.message}")
                raise
        else:
            self._recorder.record(job, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

    def _reread(self, job: Object) -> list[Object]:
        owned = self._informer.owned("pods", uid_of(job))
        return sorted((pod for pod in owned if (controller_of(pod) or {}).get("uid") == uid_of(job)), key=key_of)

    # --- status

    def _report(self, job: Object, mine: Sequence[Object]) -> None:
        present = self._api.find(RESOURCE, job["metadata"]["name"], job["metadata"]["namespace"])
        if present is None or uid_of(present) != uid_of(job):
            return
        status = clone(present.get("status") or {})
        active = sum(1 for pod in mine if pods.is_active(pod))
        status.pop("active", None)
        if active:
            status["active"] = active
        status["ready"] = sum(1 for pod in mine if pods.is_active(pod) and pods.is_ready(pod))
        status["terminating"] = sum(1 for pod in mine if is_deleting(pod) and not pods.is_finished(pod))
        status.setdefault("uncountedTerminatedPods", {})
        self._write(present, status)

    def _with_conditions(self, job: Object, new: Object) -> Object:
        present = self._api.get(RESOURCE, job["metadata"]["name"], job["metadata"]["namespace"])
        status = clone(job.get("status") or {})
        known = condition(status, new["type"])
        if known is not None and known["status"] == new["status"]:
            return self._write(present, status)
        stamp = rfc3339(self._clock.now())
        rest = [c for c in status.get("conditions") or [] if c["type"] != new["type"]]
        status["conditions"] = [*rest, {**new, "lastProbeTime": stamp, "lastTransitionTime": stamp}]
        return self._write(present, status)

    def _write(self, job: Object, status: Object) -> Object:
        if status == (job.get("status") or {}):
            return job
        body = clone(job)
        body["status"] = status
        return self._api.update(RESOURCE, body, subresource="status")


def _completions(job: Object) -> int:
    return int(job["spec"].get("completions") or 0)


def is_over(job: Object) -> bool:
    return condition_is(job, "Complete") or condition_is(job, "Failed")


def _condition(kind: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def _keys_of_pod(change: Change) -> Iterable[Key]:
    owner = controller_of(change.object)
    if owner is None or owner["kind"] != "Job":
        return []
    return [(change.object["metadata"]["namespace"], owner["name"])]
