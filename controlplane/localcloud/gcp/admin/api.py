"""All administration APIs together: who answers a path, and what of them outlives the daemon."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.gcp.admin.accounts import ServiceAccountsApi
from controlplane.localcloud.gcp.admin.builds import BuildsApi
from controlplane.localcloud.gcp.admin.calls import Call, Document, Router, route
from controlplane.localcloud.gcp.admin.jobs import JobsApi
from controlplane.localcloud.gcp.admin.longrunning import LongRunning
from controlplane.localcloud.gcp.admin.policies import Policies
from controlplane.localcloud.gcp.admin.projects import ResourceManagerApi
from controlplane.localcloud.gcp.admin.quotas import CloudQuotasApi
from controlplane.localcloud.gcp.admin.registry import RegistryApi
from controlplane.localcloud.gcp.admin.roles import RolesApi
from controlplane.localcloud.gcp.admin.scheduler import SchedulerApi
from controlplane.localcloud.gcp.admin.serviceusage import ServiceUsageApi
from controlplane.localcloud.gcp.admin.workshop import Workshop
from controlplane.localcloud.gcp.errors import invalid, not_found
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.gcp.rpc import json_response, read_json
from controlplane.localcloud.gcp.storage.buckets import Buckets
from controlplane.localcloud.gcp.storage.http import StorageApi
from controlplane.localcloud.gcp.storage.notices import Notices
from controlplane.localcloud.gcp.storage.objects import Objects
from controlplane.localcloud.gcp.tokens import TokenIssuer

_OPERATION = "/{}/projects/{{project}}/locations/{{location}}/operations/{{operation}}"


class _Part(Protocol):
    """Something of which a part outlives the daemon."""

    def to_state(self) -> Document: ...

    def from_state(self, state: Mapping[str, Any]) -> None: ...


class Administration:
    """Answers what concerns the project as a whole. `changed` is called when there is something to save.

    buckets: the folder whose folders are the buckets of Cloud Storage; a passing one without it.
    """

    def __init__(
        self,
        project: Project,
        clock: Clock,
        tokens: TokenIssuer,
        changed: Callable[[], None],
        buckets: Path | None = None,
    ) -> None:
        self._project = project
        self._changed = changed
        self.operations = LongRunning(clock, changed)
        self.accounts = ServiceAccountsApi(project, clock, tokens.issue)
        self._roles = RolesApi(project)
        self.policies = Policies(project.name, account_exists=self.accounts.exists, custom=self._roles.permissions)
        self.accounts.bind(self.policies)
        project.access = self.policies
        self._storage = Buckets(project, clock, self.policies, buckets)
        self.notices = Notices(self._storage, clock, changed)
        self.storage = StorageApi(self._storage, Objects(self._storage, clock, self.notices.finalised))
        self._registry = RegistryApi(project, clock, self.policies, self.operations)
        self.builds = BuildsApi(project, clock, self.operations, self._registry, self.accounts)
        self.jobs = JobsApi(
            project,
            clock,
            self.operations,
            policies=self.policies,
            accounts=self.accounts,
            registry=self._registry,
            issue=tokens.issue,
        )
        self._scheduler = SchedulerApi(project, clock, self.accounts, self.answer, changed)
        self._parts: dict[str, _Part] = {
            "accounts": self.accounts,
            "roles": self._roles,
            "policies": self.policies,
            "storage": self._storage,
            "notices": self.notices,
            "registry": self._registry,
            "builds": self.builds,
            "jobs": self.jobs,
            "scheduler": self._scheduler,
        }
        apis = (
            ServiceUsageApi(project, self.operations, self._provide),
            ResourceManagerApi(project, self.policies),
            self.accounts,
            self._roles,
            self._registry,
            self.builds,
            self.jobs,
            self._scheduler,
            CloudQuotasApi(project),
        )
        self._router = Router(
            [
                route("GET", _OPERATION.format("v1"), self._operation),
                route("GET", _OPERATION.format("v2"), self._run_operation),
                route("POST", f"{_OPERATION.format('v2')}:wait", self._run_operation),
                *(each for api in apis for each in api.routes()),
            ]
        )
        self.accounts.add(tokens.service_account, "Owner of the local cloud")
        owner = {"role": "roles/owner", "members": [f"serviceAccount:{tokens.service_account}"]}
        self.policies.put(f"projects/{project.name}", [owner])
        self._provide()

    def takes(self, request: Request) -> bool:
        """Say whether a call is one of these APIs'; the operations of a location are some of several APIs'."""
        path = request.url.path
        if "/operations/" in path and "/locations/" in path:
            return path.startswith("/v2/") or self.operations.has(path.removeprefix("/v1/"))
        return self._router.find(request.method, path) is not None

    async def rest(self, request: Request) -> Response:
        """Answer a call."""
        body = read_json(await request.body())
        if body is not None and not isinstance(body, dict):
            raise invalid("Invalid JSON payload received. Root element must be a message.")
        call = Call(request.method, request.url.path, {}, dict(request.query_params), body or {})
        return json_response(self.answer(call))

    def answer(self, call: Call) -> Document:
        """Answer a call, taken apart."""
        found = self._router.find(call.verb, call.path)
        if found is None:
            raise not_found("The requested URL was not found on this server.")
        handler, fields = found
        answer = handler.answer(Call(call.verb, call.path, fields, call.query, call.body))
        if call.verb != "GET":
            self._changed()
        return answer

    def start(self, workshop: Workshop | None) -> None:
        """Begin to fire Cloud Scheduler's jobs, and have Cloud Run's run in this place; without one they do not."""
        self.jobs.executions.workshop = workshop
        self._scheduler.start()
        self.notices.start()

    def executions(self) -> list[Document]:
        """Give the executions of Cloud Run jobs, oldest first, each with the files of its containers' output."""
        kept = self.jobs.executions
        return [{**execution, "logs": kept.logs.get(name, [])} for name, execution in kept.all.items()]

    async def close(self) -> None:
        """Stop what is under way."""
        await self._scheduler.close()
        await self.notices.close()
        self.storage.close()
        self._storage.close()
        self.jobs.executions.kill_all()
        await self.operations.close()

    def to_state(self) -> dict[str, Any]:
        """Give what must outlive the daemon."""
        return deepcopy({name: part.to_state() for name, part in self._parts.items()})

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        for name, part in self._parts.items():
            if name in state:
                part.from_state(deepcopy(state[name]))

    def _operation(self, call: Call) -> Document:
        return self.operations.get(call.path.removeprefix("/v1/"))

    def _run_operation(self, call: Call) -> Document:
        self._project.check(call["project"], "run.operations.get")
        return self.operations.get(call.path.removeprefix("/v2/").removesuffix(":wait"))

    def _provide(self) -> None:
        """Make the account that comes with Compute Engine, once that is on: what names no account runs as it."""
        email = f"{self._project.number}-compute@developer.gserviceaccount.com"
        if "compute.googleapis.com" in self._project.disabled or self.accounts.exists(email):
            return
        self.accounts.add(email, "Compute Engine default service account")
        name = f"projects/{self._project.name}"
        bindings = self.policies.get(name).get("bindings", [])
        editors = {member for each in bindings if each["role"] == "roles/editor" for member in each["members"]}
        others = [each for each in bindings if each["role"] != "roles/editor"]
        self.policies.put(name, [*others, {"role": "roles/editor", "members": {*editors, f"serviceAccount:{email}"}}])
