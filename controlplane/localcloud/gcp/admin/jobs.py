"""Cloud Run jobs, v2: made, changed, deleted, run.

A run's operation ends when its execution does. What runs is a real process of this computer: see `workshop.py`.
Source: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controlplane.localcloud.clock import Clock, new_uid, rfc3339_micro
from controlplane.localcloud.gcp.admin.accounts import ServiceAccountsApi
from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, page, route
from controlplane.localcloud.gcp.admin.executions import Executions
from controlplane.localcloud.gcp.admin.longrunning import LongRunning
from controlplane.localcloud.gcp.admin.policies import Policies, etag_of
from controlplane.localcloud.gcp.admin.projects import asked_version, granted
from controlplane.localcloud.gcp.admin.registry import RegistryApi
from controlplane.localcloud.gcp.admin.runs import TYPE, RunsApi, missing
from controlplane.localcloud.gcp.admin.templates import checked
from controlplane.localcloud.gcp.callers import caller
from controlplane.localcloud.gcp.errors import GoogleError, invalid
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.kubelet.images import Image

_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_BASE = "/v2/projects/{project}/locations/{location}/jobs"
_ONE = f"{_BASE}/{{job}}"
_FIELDS = ("labels", "annotations", "client", "clientVersion", "launchStage", "template")


class JobsApi:
    """Serves jobs and their executions."""

    def __init__(
        self,
        project: Project,
        clock: Clock,
        operations: LongRunning,
        *,
        policies: Policies,
        accounts: ServiceAccountsApi,
        registry: RegistryApi,
        issue: Callable[[str], str],
    ) -> None:
        self._project = project
        self._clock = clock
        self._operations = operations
        self._policies = policies
        self._accounts = accounts
        self._registry = registry
        self._jobs: dict[str, Document] = {}
        self.executions = Executions(project.name, clock, issue, self._note)
        self._runs = RunsApi(project, operations, self.executions)

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        yield route("GET", _BASE, self._list)
        yield route("POST", _BASE, self._create)
        yield route("GET", _ONE, self._get)
        yield route("PATCH", _ONE, self._patch)
        yield route("DELETE", _ONE, self._delete)
        yield route("POST", f"{_ONE}:run", self._run)
        yield route("GET", f"{_ONE}:getIamPolicy", self._policy)
        yield route("POST", f"{_ONE}:setIamPolicy", self._set_policy)
        yield route("POST", f"{_ONE}:testIamPermissions", self._granted)
        yield from self._runs.routes()

    def to_state(self) -> Document:
        """Give what must outlive the daemon."""
        return {"jobs": self._jobs, "executions": self.executions.all}

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left; what ran then was killed with it."""
        self._jobs = dict(state["jobs"])
        self.executions.all = dict(state["executions"])
        for execution in self.executions.all.values():
            if "completionTime" not in execution:
                why = "The container was killed: the local cloud was stopped."
                self.executions.end(execution, failed=int(execution["taskCount"]), why=why)

    # -- jobs ------------------------------------------------------------------------------------------------------

    def _list(self, call: Call) -> Document:
        parent = self._parent(call, "run.jobs.list")
        return page(
            "jobs", [job for name, job in sorted(self._jobs.items()) if name.startswith(f"{parent}/")], call.query
        )

    def _create(self, call: Call) -> Document:
        parent = self._parent(call, "run.jobs.create")
        job_id = call.query.get("jobId") or call.query.get("job_id") or ""
        if not _ID.fullmatch(job_id):
            raise invalid(
                f'Violation in CreateJobRequest.job_id: "{job_id}" is no valid id: only lowercase, digits, and '
                "hyphens; must begin with letter, and cannot end with hyphen; must be less than 64 characters"
            )
        name = f"{parent}/jobs/{job_id}"
        if name in self._jobs:
            raise GoogleError("ALREADY_EXISTS", f"Resource '{job_id}' already exists.")
        job = self._written(name, call.body, {})
        if call.query.get("validateOnly", "").lower() == "true":
            return {"name": f"{parent}/operations/{new_uid()}", "done": True, "response": job}
        return self._put(job)

    def _get(self, call: Call) -> Document:
        return self._jobs[self._asked(call, "run.jobs.get")]

    def _patch(self, call: Call) -> Document:
        if call.query.get("allowMissing", "").lower() == "true" and self._name(call) not in self._jobs:
            self._parent(call, "run.jobs.create")
            return self._put(self._written(self._name(call), call.body, {}))
        name = self._asked(call, "run.jobs.update")
        self._check_etag(self._jobs[name], call.body.get("etag"))
        return self._put(self._written(name, call.body, self._jobs[name]))

    def _delete(self, call: Call) -> Document:
        name = self._asked(call, "run.jobs.delete")
        self._check_etag(self._jobs[name], call.query.get("etag"))
        job = self._jobs.pop(name)
        self._policies.drop(name)
        for execution in [each for each in self.executions.all.values() if each["name"].startswith(f"{name}/")]:
            self.executions.cancel(execution)
            self.executions.forget(execution["name"])
        job |= {"deleteTime": rfc3339_micro(self._clock.now())}
        return self._runs.change(name, {"@type": f"{TYPE}.Job", **job}, lambda: {"@type": f"{TYPE}.Job", **job})

    def _written(self, name: str, body: Mapping[str, Any], old: Mapping[str, Any]) -> Document:
        """Give the job as it is to stand, everything that it leaves out filled in."""
        wanted = {field: body[field] for field in _FIELDS if field in body}
        account = f"{self._project.number}-compute@developer.gserviceaccount.com"
        template = checked(wanted.get("template") or {}, account)
        email = template["template"]["serviceAccount"]
        if not self._accounts.exists(email):
            raise GoogleError("NOT_FOUND", f"Service account {email} was not found.")
        self._accounts.check_act_as(email)
        who, now = caller.get(), rfc3339_micro(self._clock.now())
        generation = str(int(old.get("generation", "0")) + 1)
        job = {
            "name": name,
            "uid": old.get("uid") or new_uid(),
            "generation": generation,
            "observedGeneration": generation,
            **wanted,
            "template": template,
            "launchStage": wanted.get("launchStage") or "GA",
            "createTime": old.get("createTime") or now,
            "updateTime": now,
            "creator": old.get("creator") or who,
            "lastModifier": who,
            "executionCount": old.get("executionCount", 0),
            "etag": etag_of([name, now, generation]),
        }
        return job | (
            {"latestCreatedExecution": old["latestCreatedExecution"]} if "latestCreatedExecution" in old else {}
        )

    def _put(self, job: Document) -> Document:
        """Have a job stand, ready where its image is there."""
        uri, now = job["template"]["template"]["containers"][0]["image"], job["updateTime"]
        condition = {"type": "Ready", "state": "CONDITION_SUCCEEDED", "lastTransitionTime": now}
        if self._image(job) is None:
            condition |= {
                "state": "CONDITION_FAILED",
                "reason": "CONTAINER_MISSING",
                "message": f"Image '{uri}' not found.",
            }
        job["terminalCondition"] = condition
        self._jobs[job["name"]] = job

        def ending() -> Document:
            if "message" in condition:
                raise GoogleError("NOT_FOUND", str(condition["message"]))
            return {"@type": f"{TYPE}.Job", **job}

        return self._runs.change(job["name"], {"@type": f"{TYPE}.Job", **job}, ending)

    # -- executions ------------------------------------------------------------------------------------------------

    def _run(self, call: Call) -> Document:
        name = self._asked(call, "run.jobs.run")
        job = self._jobs[name]
        self._check_etag(job, call.body.get("etag"))
        if call.body.get("overrides"):
            self._project.check(call["project"], "run.jobs.runWithOverrides", name)
            raise GoogleError("UNIMPLEMENTED", "The local cloud runs jobs as they stand, without overrides.")
        image = self._image(job)
        if image is None:
            raise GoogleError("FAILED_PRECONDITION", str(job["terminalCondition"].get("message") or "Image not found."))
        execution = self.executions.open(job, caller.get())
        job["executionCount"] += 1
        self._note(execution)
        return self._runs.begin(execution, image)

    def _note(self, execution: Document) -> None:
        """Write into the job what its latest execution is and how it fares."""
        job = self._jobs.get(execution["name"].partition("/executions/")[0])
        if job is None:
            return
        latest = job.get("latestCreatedExecution", {})
        if latest.get("createTime", "") <= execution["createTime"]:
            state = execution["conditions"][0]["state"]
            how = {"CONDITION_SUCCEEDED": "EXECUTION_SUCCEEDED", "CONDITION_FAILED": "EXECUTION_FAILED"}
            running = "EXECUTION_RUNNING" if "startTime" in execution else "EXECUTION_PENDING"
            job["latestCreatedExecution"] = {
                "name": execution["name"].rpartition("/")[2],
                "createTime": execution["createTime"],
                "completionStatus": "EXECUTION_CANCELLED"
                if execution.get("cancelledCount")
                else how.get(state, running),
            } | ({"completionTime": execution["completionTime"]} if "completionTime" in execution else {})
        self._operations.changed()

    # -- policies and names ----------------------------------------------------------------------------------------

    def _policy(self, call: Call) -> Document:
        return self._policies.get(self._asked(call, "run.jobs.getIamPolicy"), asked_version(call))

    def _set_policy(self, call: Call) -> Document:
        return self._policies.set(self._asked(call, "run.jobs.setIamPolicy"), call.body)

    def _granted(self, call: Call) -> Document:
        return granted(self._project, self._policies, call, self._name(call))

    def _image(self, job: Document) -> Image | None:
        uri = job["template"]["template"]["containers"][0]["image"]
        workshop = self.executions.workshop
        pushed = self._registry.has(uri)
        if workshop is None:
            return Image() if pushed else None
        return workshop.image(uri, pushed=pushed)

    def _parent(self, call: Call, permission: str) -> str:
        parent = f"projects/{self._project.name}/locations/{call['location']}"
        self._project.check(call["project"], permission, parent)
        if not self._project.knows(call["location"]):
            raise invalid(f"Location {call['location']} is not found or access is unauthorized.")
        self._project.check_up(call["location"])
        return parent

    def _name(self, call: Call) -> str:
        return f"projects/{self._project.name}/locations/{call['location']}/jobs/{call['job']}"

    def _asked(self, call: Call, permission: str) -> str:
        name = self._name(call)
        self._project.check(call["project"], permission, name)
        self._project.check_up(call["location"])
        if name not in self._jobs:
            raise missing(self._project, call["job"], "JOB", call)
        return name

    def _check_etag(self, job: Document, given: object) -> None:
        if given and given != job["etag"]:
            short = job["name"].rpartition("/")[2]
            text = f"Conflict for resource '{short}': version '{given}' was specified but current version is"
            raise GoogleError("ABORTED", f"{text} '{job['etag']}'.")
