"""Cloud Build: a build is queued, works and ends; its images are then in Artifact Registry.

No step is carried out: a build of this project's own image has nothing to find out here. It fails where Google's would
for want of a repository or a right, and where somebody asked for a failure.
Source: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.localcloud.clock import Clock, new_uid, rfc3339_micro
from controlplane.localcloud.gcp.admin.accounts import ServiceAccountsApi
from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, page, route
from controlplane.localcloud.gcp.admin.longrunning import LongRunning
from controlplane.localcloud.gcp.admin.registry import RegistryApi
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.project import Project

_BASES = ("/v1/projects/{project}/builds", "/v1/projects/{project}/locations/{location}/builds")
_TYPE = "type.googleapis.com/google.devtools.cloudbuild.v1"
_LOGS = ("CLOUD_LOGGING_ONLY", "NONE")
_ENDED = ("SUCCESS", "FAILURE", "CANCELLED")
_RPC_UNKNOWN = 2
_VARIABLE = re.compile(r"\$(\$|\{[A-Z0-9_]+\}|[A-Z0-9_]+)")


class BuildsApi:
    """Takes builds and ends them."""

    def __init__(
        self,
        project: Project,
        clock: Clock,
        operations: LongRunning,
        registry: RegistryApi,
        accounts: ServiceAccountsApi,
    ) -> None:
        self._project = project
        self._clock = clock
        self._operations = operations
        self._registry = registry
        self._accounts = accounts
        self._builds: dict[str, Document] = {}
        # Why the next builds are to fail, one each.
        self.failures: list[str] = []

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        for base in _BASES:
            yield route("GET", base, self._list)
            yield route("POST", base, self._create)
            yield route("GET", f"{base}/{{build}}", self._get)
            yield route("POST", f"{base}/{{build}}:cancel", self._cancel)
        yield route("GET", "/v1/operations/build/{project}/{operation}", self._operation)

    def to_state(self) -> Document:
        """Give what must outlive the daemon."""
        return self._builds

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left; a build that it did not finish is over."""
        self._builds = dict(state)
        for build in self._builds.values():
            if build["status"] not in _ENDED:
                self._end(build, "FAILURE", "the builder was stopped", "OTHER")

    def _create(self, call: Call) -> Document:
        self._project.check(call["project"], "cloudbuild.builds.create")
        if not call.body.get("steps"):
            raise invalid("invalid build: build has no steps")
        account = self._account(call.body)
        build_id, location = new_uid(), call.fields.get("location", "global")
        known = {"PROJECT_ID": self._project.name, "BUILD_ID": build_id, "LOCATION": location}
        wanted = _substituted(dict(call.body), {**known, **(call.body.get("substitutions") or {})})
        now = rfc3339_micro(self._clock.now())
        parent = f"projects/{self._project.number}/locations/{location}"
        build = self._builds[build_id] = {
            **wanted,
            "id": build_id,
            "name": f"{parent}/builds/{build_id}",
            "projectId": self._project.name,
            "status": "QUEUED",
            "createTime": now,
            "timeout": call.body.get("timeout") or "600s",
            "queueTtl": call.body.get("queueTtl") or "3600s",
            "serviceAccount": f"projects/{self._project.name}/serviceAccounts/{account}",
            "logUrl": f"https://console.cloud.google.com/cloud-build/builds;region={location}/{build_id}"
            f"?project={self._project.number}",
        }
        name = f"operations/build/{self._project.name}/{base64.b64encode(build_id.encode()).decode().rstrip('=')}"
        metadata = {"@type": f"{_TYPE}.BuildOperationMetadata", "build": dict(build)}
        operation = self._operations.open(name, metadata)
        self._operations.spawn(self._work(build, operation, account))
        return {"name": name, "metadata": dict(metadata)}

    def _account(self, wanted: Mapping[str, Any]) -> str:
        """Give the account that a build runs as; the caller must be allowed to use one that is named."""
        named = str(wanted.get("serviceAccount") or "").rpartition("/")[2]
        if not named:
            return f"{self._project.number}-compute@developer.gserviceaccount.com"
        options = wanted.get("options") or {}
        own_logs = options.get("logging") in _LOGS or "defaultLogsBucketBehavior" in options
        if not wanted.get("logsBucket") and not own_logs:
            raise invalid(
                "if 'build.service_account' is specified, the build must either (a) specify 'build.logs_bucket', "
                "(b) use the REGIONAL_USER_OWNED_BUCKET build.options.default_logs_bucket_behavior option, or (c) use "
                "either CLOUD_LOGGING_ONLY / NONE logging options"
            )
        self._accounts.check_act_as(named)
        return named

    async def _work(self, build: Document, operation: Document, account: str) -> None:
        await self._clock.sleep(0)
        if build["status"] != "QUEUED":
            return
        build |= {"status": "WORKING", "startTime": rfc3339_micro(self._clock.now())}
        operation["metadata"]["build"] = dict(build)
        await self._clock.sleep(0)
        if build["status"] == "WORKING":
            self._finish(build, account)
        operation["metadata"]["build"] = dict(build)
        if build["status"] == "SUCCESS":
            operation["response"] = {"@type": f"{_TYPE}.Build", **build}
        else:
            text = build.get("failureInfo", {}).get("detail") or "Build cancelled"
            operation["error"] = {"code": _RPC_UNKNOWN, "message": f"Build failed; {text}"}
        operation["done"] = True
        self._operations.changed()

    def _finish(self, build: Document, account: str) -> None:
        if self.failures:
            self._end(build, "FAILURE", self.failures.pop(0), "USER_BUILD_STEP")
            return
        if why := self._unreadable(build, account):
            self._end(build, "FAILURE", why, "FETCH_SOURCE_FAILED")
            return
        images = [str(each) for each in build.get("images") or ()]
        for image in images:
            if why := self._registry.refusal(image, account):
                self._end(build, "FAILURE", f"failed to push {image}: {why}", "PUSH_FAILED")
                return
        content = json.dumps([build.get("source"), build["steps"]], sort_keys=True)
        pushed = [{"name": image, "digest": self._registry.push(image, content)} for image in images]
        build["results"] = {"images": pushed, "buildStepImages": [""] * len(build["steps"])}
        self._end(build, "SUCCESS", "", "")

    def _unreadable(self, build: Document, account: str) -> str:
        """Say why the build's account cannot get its source; empty when it can, or needs none."""
        bucket = ((build.get("source") or {}).get("storageSource") or {}).get("bucket")
        if not bucket or self._project.allows(account, "storage.objects.get", f"buckets/{bucket}"):
            return ""
        return f"could not resolve source: {account} does not have storage.objects.get access to bucket {bucket}"

    def _end(self, build: Document, status: str, detail: str, kind: str) -> None:
        build |= {"status": status, "finishTime": rfc3339_micro(self._clock.now())}
        if detail:
            build |= {"statusDetail": detail, "failureInfo": {"type": kind, "detail": detail}}

    def _list(self, call: Call) -> Document:
        self._project.check(call["project"], "cloudbuild.builds.list")
        where = f"/locations/{call.fields.get('location', 'global')}/"
        found = [build for build in reversed(self._builds.values()) if where in build["name"]]
        return page("builds", found, call.query, size=100)

    def _get(self, call: Call) -> Document:
        self._project.check(call["project"], "cloudbuild.builds.get")
        return self._find(call)

    def _cancel(self, call: Call) -> Document:
        self._project.check(call["project"], "cloudbuild.builds.update")
        build = self._find(call)
        if build["status"] in _ENDED:
            raise GoogleError("FAILED_PRECONDITION", "build is already complete")
        self._end(build, "CANCELLED", "", "")
        return build

    def _find(self, call: Call) -> Document:
        if call["build"] not in self._builds:
            raise not_found("Requested entity was not found.")
        return self._builds[call["build"]]

    def _operation(self, call: Call) -> Document:
        self._project.check(call["project"], "cloudbuild.builds.get")
        return self._operations.get(f"operations/build/{call['project']}/{call['operation']}")


def _substituted(value: Any, values: Mapping[str, str]) -> Any:
    """Put a build's variables in everywhere, as `$NAME` or `${NAME}`; `$$` is a dollar sign."""
    if isinstance(value, dict):
        return {key: _substituted(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_substituted(each, values) for each in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match[1].strip("{}")
        return "$" if name == "$" else str(values.get(name, match[0]))

    return _VARIABLE.sub(replace, value)
