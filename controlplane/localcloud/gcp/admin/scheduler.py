"""Cloud Scheduler: jobs that call a URL by the clock. Time is the local cloud's, so tests can let hours pass.

It calls what is Cloud Run's here, as the service account that the job names, and with its rights; another address is
unreachable, as one behind a firewall is. A firing that fails is in the job's `status`.
Source: https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs.
"""

import asyncio
import base64
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson

from controlplane.localcloud.clock import Clock, rfc3339, rfc3339_micro
from controlplane.localcloud.controllers.schedule import ScheduleError, parse
from controlplane.localcloud.gcp.admin.accounts import ServiceAccountsApi
from controlplane.localcloud.gcp.admin.calls import Call, Document, Handler, Route, page, route
from controlplane.localcloud.gcp.callers import caller
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found, rpc_code, unavailable
from controlplane.localcloud.gcp.project import Project

_BASE = "/v1/projects/{project}/locations/{location}/jobs"
_ONE = f"{_BASE}/{{job}}"
_ID = re.compile(r"[a-zA-Z0-9_-]{1,500}")
_FIELDS = ("description", "schedule", "timeZone", "httpTarget", "retryConfig", "attemptDeadline")
_RETRIES = {"maxRetryDuration": "0s", "minBackoffDuration": "5s", "maxBackoffDuration": "3600s", "maxDoublings": 5}
_MOST_RETRIES = 5


class SchedulerApi:
    """Keeps jobs and fires them. `send` carries a call to another of these APIs."""

    def __init__(
        self, project: Project, clock: Clock, accounts: ServiceAccountsApi, send: Handler, changed: Callable[[], None]
    ) -> None:
        self._project = project
        self._clock = clock
        self._accounts = accounts
        self._send = send
        self._changed = changed
        self._jobs: dict[str, Document] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        yield route("GET", _BASE, self._list)
        yield route("POST", _BASE, self._create)
        yield route("GET", _ONE, self._get)
        yield route("PATCH", _ONE, self._patch)
        yield route("DELETE", _ONE, self._delete)
        yield route("POST", f"{_ONE}:pause", self._pause)
        yield route("POST", f"{_ONE}:resume", self._resume)
        yield route("POST", f"{_ONE}:run", self._run)

    def start(self) -> None:
        """Wait for the next time of every job."""
        for name in self._jobs:
            self._arm(name)

    async def close(self) -> None:
        """Fire no more."""
        tasks = list(self._waiting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def to_state(self) -> Document:
        """Give what must outlive the daemon."""
        return self._jobs

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left; what it missed stays missed."""
        self._jobs = dict(state)

    def _list(self, call: Call) -> Document:
        parent = self._parent(call, "cloudscheduler.jobs.list")
        found = [job for name, job in sorted(self._jobs.items()) if name.startswith(f"{parent}/")]
        return page("jobs", found, call.query, size=500)

    def _create(self, call: Call) -> Document:
        parent = self._parent(call, "cloudscheduler.jobs.create")
        name = str(call.body.get("name") or f"{parent}/jobs/job-{len(self._jobs) + 1}")
        where, _, short = name.rpartition("/jobs/")
        numbered = f"projects/{self._project.number}/locations/{call['location']}"
        if where not in (parent, numbered) or not _ID.fullmatch(short):
            raise invalid(
                f"Job name must be formatted: projects/<PROJECT_ID>/locations/<LOCATION_ID>/jobs/<JOB_ID>; got {name}."
            )
        name = f"{parent}/jobs/{short}"
        if name in self._jobs:
            raise GoogleError("ALREADY_EXISTS", f"Job {name} already exists.")
        self._jobs[name] = self._checked(name, call.body) | {"state": "ENABLED"}
        self._arm(name)
        return self._jobs[name]

    def _get(self, call: Call) -> Document:
        return self._jobs[self._asked(call, "cloudscheduler.jobs.get")]

    def _patch(self, call: Call) -> Document:
        name = self._asked(call, "cloudscheduler.jobs.update")
        masked = set(call.mask)
        old = {key: value for key, value in self._jobs[name].items() if key not in masked & set(_FIELDS)}
        new = {field: call.body[field] for field in _FIELDS if field in masked and field in call.body}
        self._jobs[name] = {**old, **self._checked(name, {**old, **new})}
        self._arm(name)
        return self._jobs[name]

    def _delete(self, call: Call) -> Document:
        name = self._asked(call, "cloudscheduler.jobs.delete")
        del self._jobs[name]
        self._disarm(name)
        return {}

    def _pause(self, call: Call) -> Document:
        name = self._asked(call, "cloudscheduler.jobs.pause")
        self._jobs[name]["state"] = "PAUSED"
        self._disarm(name)
        return self._jobs[name]

    def _resume(self, call: Call) -> Document:
        name = self._asked(call, "cloudscheduler.jobs.enable")
        self._jobs[name]["state"] = "ENABLED"
        self._arm(name)
        return self._jobs[name]

    def _run(self, call: Call) -> Document:
        name = self._asked(call, "cloudscheduler.jobs.run")
        task = asyncio.get_running_loop().create_task(self._fire(name))
        self._waiting[f"{name}:run"] = task
        return self._jobs[name]

    # -- firing ----------------------------------------------------------------------------------------------------

    def _arm(self, name: str) -> None:
        self._disarm(name)
        if self._jobs[name]["state"] == "ENABLED":
            self._waiting[name] = asyncio.get_running_loop().create_task(self._keep(name))

    def _disarm(self, name: str) -> None:
        if (task := self._waiting.pop(name, None)) is not None:
            task.cancel()

    async def _keep(self, name: str) -> None:
        """Fire a job each time that it is due, until it is changed."""
        job = self._jobs[name]
        schedule, zone = parse(job["schedule"]), ZoneInfo(job["timeZone"])
        due = schedule.after(self._clock.now().astimezone(zone))
        while due is not None:
            job["scheduleTime"] = rfc3339(due.astimezone(UTC))
            await self._clock.sleep((due - self._clock.now()).total_seconds())
            await self._fire(name)
            # A sleep may end a little early: the same minute does not come twice.
            due = schedule.after(max(due, self._clock.now().astimezone(zone)))

    async def _fire(self, name: str) -> None:
        """Call the target, again where the job says so; the last attempt's outcome is the job's status."""
        job = self._jobs[name]
        retries = {**_RETRIES, **job["retryConfig"]}
        for attempt in range(int(retries.get("retryCount", 0)) + 1):
            if attempt:
                wait = _seconds(retries["minBackoffDuration"]) * 2 ** min(attempt - 1, int(retries["maxDoublings"]))
                await self._clock.sleep(min(wait, _seconds(retries["maxBackoffDuration"])))
            job["lastAttemptTime"] = rfc3339_micro(self._clock.now())
            try:
                self._call(job["httpTarget"])
            except GoogleError as error:
                job["status"] = {"code": rpc_code(error.status), "message": error.message}
            else:
                job["status"] = {}
            self._changed()
            if not job["status"]:
                return

    def _call(self, target: Mapping[str, Any]) -> None:
        parts = urlsplit(str(target["uri"]))
        if parts.hostname is None or not re.fullmatch(r"([a-z0-9-]+-)?run\.googleapis\.com", parts.hostname):
            raise unavailable(
                f"URL_UNREACHABLE-UNREACHABLE_5xx. Original HTTP response code number = 503: {target['uri']}"
            )
        email = str((target.get("oauthToken") or {}).get("serviceAccountEmail") or "")
        if not self._accounts.exists(email):
            raise GoogleError(
                "UNAUTHENTICATED", "URL_ERROR-ERROR_AUTHENTICATION. Original HTTP response code number = 401"
            )
        body = base64.b64decode(target.get("body") or "")
        before = caller.set(email)
        try:
            verb = str(target.get("httpMethod") or "POST")
            self._send(Call(verb, parts.path, {}, {}, orjson.loads(body) if body else {}))
        finally:
            caller.reset(before)

    # -- checks ----------------------------------------------------------------------------------------------------

    def _checked(self, name: str, body: Mapping[str, Any]) -> Document:
        target = body.get("httpTarget")
        if not isinstance(target, Mapping) or not target.get("uri"):
            raise invalid("The local cloud calls HTTP targets only: Job.http_target.uri is required.")
        try:
            parse(str(body.get("schedule") or ""))
            ZoneInfo(str(body.get("timeZone") or "Etc/UTC"))
        except (ScheduleError, KeyError, ValueError, OSError) as error:
            raise invalid(f"Schedule or time zone is invalid. ({error})") from error
        token = target.get("oauthToken") or target.get("oidcToken") or {}
        if email := token.get("serviceAccountEmail"):
            self._accounts.check_act_as(str(email))
        retries = {**_RETRIES, **(body.get("retryConfig") or {})}
        if not 0 <= int(retries.get("retryCount", 0)) <= _MOST_RETRIES:
            raise invalid(f"Job.retry_config.retry_count must be between 0 and {_MOST_RETRIES}.")
        return {
            "name": name,
            **({"description": body["description"]} if body.get("description") else {}),
            "httpTarget": {"httpMethod": "POST", **target},
            "schedule": body["schedule"],
            "timeZone": body.get("timeZone") or "Etc/UTC",
            "retryConfig": retries,
            "attemptDeadline": body.get("attemptDeadline") or "180s",
            "userUpdateTime": rfc3339_micro(self._clock.now()),
        }

    def _parent(self, call: Call, permission: str) -> str:
        parent = f"projects/{self._project.name}/locations/{call['location']}"
        self._project.check(call["project"], permission, parent)
        if not self._project.knows(call["location"]):
            raise not_found(f"Location '{call['location']}' is not a valid location.")
        self._project.check_up(call["location"])
        return parent

    def _asked(self, call: Call, permission: str) -> str:
        name = f"{self._parent(call, permission)}/jobs/{call['job']}"
        if name not in self._jobs:
            raise not_found("Job not found.")
        return name


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))
