"""The status of a Job as it is written: nothing where nothing changed, and conditions that keep their times.

All writers of a Job's status go through here, so that a look that finds everything as it was leaves no trace and wakes
no watcher for nothing.
"""

from collections.abc import Sequence

from controlplane.localcloud.apiserver.api import Api, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers import pods
from controlplane.localcloud.controllers.objects import clone, condition, is_deleting, uid_of

RESOURCE = "jobs.batch"


class JobStatus:
    """Writes it."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api, self._clock = api, clock

    def report(self, job: Object, mine: Sequence[Object]) -> None:
        """Write how many Pods run, are ready and are ending; nothing where the Job is gone or another one."""
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
        self.write(present, status)

    def with_condition(self, job: Object, new: Object) -> Object:
        """Write a Job's status with one more condition; give the Job as it is then."""
        present = self._api.get(RESOURCE, job["metadata"]["name"], job["metadata"]["namespace"])
        status = clone(job.get("status") or {})
        known = condition(status, new["type"])
        if known is not None and known["status"] == new["status"]:
            return self.write(present, status)
        stamp = rfc3339(self._clock.now())
        rest = [c for c in status.get("conditions") or [] if c["type"] != new["type"]]
        status["conditions"] = [*rest, {**new, "lastProbeTime": stamp, "lastTransitionTime": stamp}]
        return self.write(present, status)

    def write(self, job: Object, status: Object) -> Object:
        """Write a status if it is another one; give the Job as it is then."""
        if status == (job.get("status") or {}):
            return job
        body = clone(job)
        body["status"] = status
        return self._api.update(RESOURCE, body, subresource="status")


def new_condition(kind: str, reason: str, message: str) -> Object:
    """Give a condition that holds, without its times."""
    return {"type": kind, "status": "True", "reason": reason, "message": message}
