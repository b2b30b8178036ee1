"""Job: runs Pods until enough of them have succeeded, or too many have failed, or the time is up.

The order of one look is here: count what ended, judge, then start what is missing. The parts have modules of their own:
`jobpods.py` counts each end once, `jobending.py` judges, `jobscaling.py` starts and stops, `jobstatus.py` writes.
"""

from collections.abc import Iterable, Sequence

from controlplane.localcloud.apiserver.api import Change, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers import jobending, pods
from controlplane.localcloud.controllers.adoption import claim
from controlplane.localcloud.controllers.backoff import Backoff
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.jobpods import Ledger, ends, is_tracked, untrack
from controlplane.localcloud.controllers.jobscaling import JobScaler
from controlplane.localcloud.controllers.jobstatus import RESOURCE, JobStatus, new_condition
from controlplane.localcloud.controllers.objects import (
    clone,
    condition_is,
    controller_of,
    is_deleting,
    key_of,
    own_key,
    uid_of,
)
from controlplane.localcloud.controllers.runtime import Controller, Key

UID_LABEL = "batch.kubernetes.io/controller-uid"


class JobController:
    """Reconciles Jobs."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._recorder = recorder
        self._status = JobStatus(informer.api, clock)
        self._ledger = Ledger(informer.api, self._status)
        self._scaler = JobScaler(informer, clock, recorder)
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
        if jobending.is_over(job):
            for pod in mine:
                untrack(self._api, pod)
            return self._expire(job)
        job = self._begin(job)
        found = ends(job, mine)
        job = self._ledger.settle(job, mine, found)
        mine = self._reread(job)
        verdict = jobending.verdict(job, mine, found.fatal, self._clock.now())
        if verdict is not None:
            self._wind_up(job, mine, verdict)
            return None
        if job["spec"].get("suspend"):
            self._suspend(job, mine)
            return None
        job = self._resume(job)
        wait, failure = self._scaler.scale(job, mine)
        self._status.report(job, self._reread(job))
        if failure is not None:
            return self._backoff.failed(key)
        self._backoff.forget(key)
        waits = [left for left in (wait, jobending.seconds_left(job, self._clock.now())) if left is not None]
        return min(waits, default=None)

    # --- beginning and end

    def _begin(self, job: Object) -> Object:
        status = job.get("status") or {}
        if status.get("startTime") or job["spec"].get("suspend"):
            return job
        return self._status.write(job, {**status, "startTime": rfc3339(self._clock.now())})

    def _wind_up(self, job: Object, mine: Sequence[Object], verdict: Object) -> None:
        """Say how it ends, stop what still runs, and close the Job when nothing runs any more."""
        done = verdict["type"] == "SuccessCriteriaMet"
        job = self._status.with_condition(job, verdict)
        for pod in mine:
            if pods.is_active(pod):
                if done:
                    untrack(self._api, pod)  # not needed any more: no failure
                self._scaler.stop(job, pod)
        mine = self._reread(job)
        self._status.report(job, mine)
        if any(not pods.is_finished(pod) for pod in mine):
            return
        namespace, name = key_of(job)
        job = self._ledger.settle(self._api.get(RESOURCE, name, namespace), mine, ends(job, mine))
        last = {**verdict, "type": "Complete" if done else "Failed"}
        status = clone(job.get("status") or {})
        if done:
            status["completionTime"] = rfc3339(self._clock.now())
        self._status.with_condition({**job, "status": status}, last)
        if done:
            self._recorder.record(job, "Normal", "Completed", "Job completed")
        else:
            self._recorder.record(job, "Warning", last["reason"], last["message"])

    def _expire(self, job: Object) -> float | None:
        """Delete a finished Job whose time to live is over; give the seconds until then."""
        left = jobending.seconds_to_live(job, self._clock.now())
        if left is None or left > 0:
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
                self._scaler.stop(job, pod)
        if not condition_is(job, "Suspended"):
            job = self._status.with_condition(job, new_condition("Suspended", "JobSuspended", "Job suspended"))
            self._recorder.record(job, "Normal", "Suspended", "Job suspended")
        self._status.report(job, self._reread(job))

    def _resume(self, job: Object) -> Object:
        if not condition_is(job, "Suspended"):
            return job
        verdict = {**new_condition("Suspended", "JobResumed", "Job resumed"), "status": "False"}
        status = {**clone(job["status"]), "startTime": rfc3339(self._clock.now())}
        job = self._status.with_condition({**job, "status": status}, verdict)
        self._recorder.record(job, "Normal", "Resumed", "Job resumed")
        return job

    def _reread(self, job: Object) -> list[Object]:
        owned = self._informer.owned("pods", uid_of(job))
        return sorted((pod for pod in owned if (controller_of(pod) or {}).get("uid") == uid_of(job)), key=key_of)


def _keys_of_pod(change: Change) -> Iterable[Key]:
    owner = controller_of(change.object)
    if owner is None or owner["kind"] != "Job":
        return []
    return [(change.object["metadata"]["namespace"], owner["name"])]
