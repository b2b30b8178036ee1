"""Executions of Cloud Run jobs as the API shows them, and the operation that a run is until it ends.

Source: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs.executions.
"""

from collections.abc import Callable, Iterable

from controlplane.localcloud.clock import new_uid
from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, page, route
from controlplane.localcloud.gcp.admin.executions import Executions
from controlplane.localcloud.gcp.admin.longrunning import LongRunning
from controlplane.localcloud.gcp.errors import GoogleError, rpc_code
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.kubelet.images import Image

TYPE = "type.googleapis.com/google.cloud.run.v2"
_BASE = "/v2/projects/{project}/locations/{location}/jobs/{job}/executions"


class RunsApi:
    """Lists, cancels and deletes executions, and follows those that run."""

    def __init__(self, project: Project, operations: LongRunning, executions: Executions) -> None:
        self._project = project
        self._operations = operations
        self._executions = executions

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        one = f"{_BASE}/{{execution}}"
        yield route("GET", _BASE, self._list)
        yield route("GET", one, self._get)
        yield route("DELETE", one, self._delete)
        yield route("POST", f"{one}:cancel", self._cancel)

    def begin(self, execution: Document, image: Image) -> Document:
        """Run an execution; its operation ends with it."""
        name = f"{execution['name'].partition('/jobs/')[0]}/operations/{new_uid()}"
        metadata = {"@type": f"{TYPE}.Execution", **execution}
        operation = self._operations.open(name, metadata)
        self._operations.spawn(self._follow(execution, image, operation))
        return {"name": name, "metadata": dict(metadata)}

    def change(self, name: str, metadata: Document, ending: Callable[[], Document]) -> Document:
        """Begin the operation of a change to a job or execution."""
        operation = f"{name.partition('/jobs/')[0]}/operations/{new_uid()}"
        return self._operations.begin(operation, dict(metadata), ending)

    async def _follow(self, execution: Document, image: Image, operation: Document) -> None:
        await self._executions.run(execution, image)
        document = {"@type": f"{TYPE}.Execution", **execution}
        operation["metadata"] = document
        (condition,) = execution["conditions"]
        if condition["state"] == "CONDITION_SUCCEEDED":
            operation["response"] = document
        else:
            operation["error"] = {"code": rpc_code("ABORTED"), "message": condition["message"]}
        operation["done"] = True

    def _list(self, call: Call) -> Document:
        name = self._name(call)
        self._project.check(call["project"], "run.executions.list", name)
        found = [each for each in self._executions.all.values() if each["name"].startswith(f"{name}/")]
        return page("executions", found[::-1], call.query)

    def _get(self, call: Call) -> Document:
        return self._execution(call, "run.executions.get")

    def _delete(self, call: Call) -> Document:
        execution = self._execution(call, "run.executions.delete")
        self._executions.cancel(execution)
        self._executions.forget(execution["name"])
        document = {"@type": f"{TYPE}.Execution", **execution}
        return self.change(execution["name"], document, lambda: document)

    def _cancel(self, call: Call) -> Document:
        execution = self._execution(call, "run.executions.cancel")
        if "completionTime" in execution:
            raise GoogleError("FAILED_PRECONDITION", "The execution has completed; there is nothing to cancel.")
        self._executions.cancel(execution)
        document = {"@type": f"{TYPE}.Execution", **execution}
        return self.change(execution["name"], document, lambda: document)

    def _execution(self, call: Call, permission: str) -> Document:
        name = f"{self._name(call)}/executions/{call['execution']}"
        self._project.check(call["project"], permission, self._name(call))
        if name not in self._executions.all:
            raise missing(self._project, call["execution"], "EXECUTION", call)
        return self._executions.all[name]

    def _name(self, call: Call) -> str:
        return f"projects/{self._project.name}/locations/{call['location']}/jobs/{call['job']}"


def missing(project: Project, name: str, kind: str, call: Call) -> GoogleError:
    """Say that a job or execution is not there, in Cloud Run's words."""
    where = f"in region '{call['location']}' in project '{project.name}'"
    return GoogleError("NOT_FOUND", f"Resource '{name}' of kind '{kind}' {where} does not exist.")
