"""CronJob: creates a Job whenever one is due, and clears old ones away.

A run that was missed (the local cloud was down) is made up for once, unless its starting deadline has passed: the
latest due time counts, not each of them. The Job's name is made of its due time, so that it is created once.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controlplane.localcloud.apiserver.api import ApiError, Change, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.jobending import is_over
from controlplane.localcloud.controllers.objects import (
    age_order,
    clone,
    condition_is,
    controller_of,
    controller_reference,
    created_at,
    is_deleting,
    key_of,
    own_key,
    parse_time,
    uid_of,
)
from controlplane.localcloud.controllers.runtime import Controller, Key
from controlplane.localcloud.controllers.schedule import Schedule, ScheduleError, parse

RESOURCE = "cronjobs.batch"
JOBS = "jobs.batch"
DUE = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MOST_MISSED = 100


class CronJobController:
    """Reconciles CronJobs."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._recorder = recorder
        self.loop = Controller(
            "cronjob", informer, clock, sources={RESOURCE: own_key, JOBS: _keys_of_job}, reconcile=self.reconcile
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    async def reconcile(self, key: Key) -> float | None:
        """Start what is due; give the seconds until the next run is."""
        cron = self._api.find(RESOURCE, key[1], key[0])
        if cron is None or is_deleting(cron):
            return None
        jobs = sorted(self._informer.owned(JOBS, uid_of(cron)), key=age_order)
        self._clear_old(cron, jobs)
        try:
            schedule, zone = parse(cron["spec"]["schedule"]), ZoneInfo(cron["spec"].get("timeZone") or "UTC")
        except (ScheduleError, ZoneInfoNotFoundError, ValueError) as error:
            text = f"unparseable schedule: {cron['spec']['schedule']!r} : {error}"
            self._recorder.record(cron, "Warning", "UnparseableSchedule", text)
            return None
        started: str | None = None
        if not cron["spec"].get("suspend"):
            due = self._due(cron, schedule, zone)
            if due is not None:
                started = self._start(cron, jobs, due)
        self._report(cron, started)
        following = schedule.after(self._clock.now().astimezone(zone))
        return None if following is None else max(0.0, (following - self._clock.now()).total_seconds()) + 0.1

    def _due(self, cron: Object, schedule: Schedule, zone: ZoneInfo) -> datetime | None:
        """Give the latest time it should have run at and did not."""
        now = self._clock.now()
        since = parse_time((cron.get("status") or {}).get("lastScheduleTime")) or created_at(cron)
        deadline = cron["spec"].get("startingDeadlineSeconds")
        if deadline is not None:
            since = max(since, now - timedelta(seconds=int(deadline)))
        latest: datetime | None = None
        missed = 0
        moment = schedule.after(since.astimezone(zone))
        while moment is not None and moment <= now:
            latest = moment
            missed += 1
            if missed > MOST_MISSED:
                self._recorder.record(cron, "Warning", "TooManyMissedTimes", "too many missed start times")
                moment = schedule.after((now - timedelta(days=1)).astimezone(zone))
                if moment is None or moment <= latest:
                    break
            else:
                moment = schedule.after(moment)
        return latest.astimezone(UTC) if latest else None

    def _start(self, cron: Object, jobs: Sequence[Object], due: datetime) -> str | None:
        """Create the Job of a due time as far as the concurrency policy lets it; give the time to note."""
        running = [job for job in jobs if not is_over(job) and not is_deleting(job)]
        policy = cron["spec"].get("concurrencyPolicy", "Allow")
        if running and policy == "Forbid":
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._recorder.record(cron, "Normal", "JobAlreadyActive", text)
            return None
        if policy == "Replace":
            for job in running:
                self._delete(cron, job)
        body = _new_job(cron, due)
        namespace, name = key_of(body)
        try:
            self._informer.create(JOBS, body, namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                self._recorder.record(cron, "Warning", "FailedCreate", f"Error creating job: {error.message}")
                raise
        else:
            self._recorder.record(cron, "Normal", "SuccessfulCreate", f"Created job {name}")
        return rfc3339(due)

    def _report(self, cron: Object, started: str | None) -> None:
        jobs = sorted(self._informer.owned(JOBS, uid_of(cron)), key=age_order)
        status = clone(cron.get("status") or {})
        status.pop("active", None)
        active = [job for job in jobs if not is_over(job)]
        if active:
            status["active"] = [_reference(job) for job in active]
        if started:
            status["lastScheduleTime"] = started
        ended = [job["status"].get("completionTime") for job in jobs if condition_is(job, "Complete")]
        successes = [stamp for stamp in (*ended, status.get("lastSuccessfulTime")) if stamp]
        if successes:
            status["lastSuccessfulTime"] = max(successes)
        if status != (cron.get("status") or {}):
            body = clone(cron)
            body["status"] = status
            self._api.update(RESOURCE, body, subresource="status")

    def _clear_old(self, cron: Object, jobs: Sequence[Object]) -> None:
        for kind, field, default in (
            ("Complete", "successfulJobsHistoryLimit", 3),
            ("Failed", "failedJobsHistoryLimit", 1),
        ):
            ended = [job for job in jobs if condition_is(job, kind) and not is_deleting(job)]
            for job in ended[: max(0, len(ended) - int(cron["spec"].get(field, default)))]:
                self._delete(cron, job)

    def _delete(self, cron: Object, job: Object) -> None:
        namespace, name = key_of(job)
        try:
            self._api.delete(JOBS, name, namespace, propagation="Background", uid=uid_of(job))
        except ApiError as error:
            if error.code != 404:
                raise
        self._recorder.record(cron, "Normal", "SuccessfulDelete", f"Deleted job {name}")


def _new_job(cron: Object, due: datetime) -> Object:
    template = cron["spec"]["jobTemplate"]
    meta = template.get("metadata") or {}
    namespace, name = key_of(cron)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{name}-{int(due.timestamp()) // 60}",
            "namespace": namespace,
            "labels": dict(meta.get("labels") or {}),
            "annotations": {**(meta.get("annotations") or {}), DUE: rfc3339(due)},
            "ownerReferences": [controller_reference(cron)],
        },
        "spec": clone(template["spec"]),
    }


def _reference(job: Object) -> Object:
    meta = job["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": meta["name"],
        "namespace": meta["namespace"],
        "uid": uid_of(job),
        "resourceVersion": meta["resourceVersion"],
    }


def _keys_of_job(change: Change) -> Iterable[Key]:
    owner = controller_of(change.object)
    if owner is None or owner["kind"] != "CronJob":
        return []
    return [(change.object["metadata"]["namespace"], owner["name"])]
