"""Service Usage: which APIs a project has switched on.

An API that is off is refused by every other endpoint too. Switching one on switches on what it depends on; switching
one off is refused while another depends on it, unless that is to go off too.
Source: https://cloud.google.com/service-usage/docs/reference/rest/v1/services.
"""

from collections.abc import Callable, Iterable
from typing import Any

from controlplane.localcloud.clock import new_uid
from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, page, route
from controlplane.localcloud.gcp.admin.longrunning import LongRunning
from controlplane.localcloud.gcp.errors import GoogleError, error_info, invalid
from controlplane.localcloud.gcp.project import Project

APIS = tuple(
    f"{name}.googleapis.com"
    for name in (
        "artifactregistry",
        "cloudbuild",
        "cloudquotas",
        "cloudresourcemanager",
        "cloudscheduler",
        "compute",
        "connectgateway",
        "container",
        "containerfilesystem",
        "gkeconnect",
        "gkehub",
        "iam",
        "iamcredentials",
        "logging",
        "monitoring",
        "multiclusteringress",
        "multiclusterservicediscovery",
        "run",
        "servicemanagement",
        "serviceusage",
        "storage",
        "trafficdirector",
    )
)
_NEEDS = {
    "container.googleapis.com": ("compute.googleapis.com",),
}
_MOST_AT_ONCE = 20
_PARENT = "/v1/projects/{project}/services"
_TYPE = "type.googleapis.com/google.api.serviceusage.v1"


class ServiceUsageApi:
    """Lists APIs and switches them. `enabled` is told when some were switched on."""

    def __init__(self, project: Project, operations: LongRunning, enabled: Callable[[], None]) -> None:
        self._project = project
        self._operations = operations
        self._enabled = enabled

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        yield route("GET", _PARENT, self._list)
        yield route("GET", f"{_PARENT}:batchGet", self._list_named)
        yield route("POST", f"{_PARENT}:batchEnable", self._enable_many)
        yield route("GET", f"{_PARENT}/{{service}}", self._get)
        yield route("POST", f"{_PARENT}/{{service}}:enable", self._enable)
        yield route("POST", f"{_PARENT}/{{service}}:disable", self._disable)
        yield route("GET", "/v1/operations/{operation}", self._operation)

    def _list(self, call: Call) -> Document:
        self._project.check(call["project"], "serviceusage.services.list")
        wanted = call.query.get("filter", "")
        if wanted not in ("", "state:ENABLED", "state:DISABLED"):
            raise invalid(f"Invalid filter: {wanted}")
        state = wanted.removeprefix("state:")
        found = [self._service(api) for api in APIS]
        return page("services", [each for each in found if state in ("", each["state"])], call.query, size=200)

    def _list_named(self, call: Call) -> Document:
        self._project.check(call["project"], "serviceusage.services.get")
        names = [name.rpartition("/")[2] for name in call.query.get("names", "").split(",") if name]
        return {"services": [self._service(self._known(name)) for name in names]}

    def _get(self, call: Call) -> Document:
        self._project.check(call["project"], "serviceusage.services.get")
        return self._service(self._known(call["service"]))

    def _enable(self, call: Call) -> Document:
        self._project.check(call["project"], "serviceusage.services.enable")
        api = self._known(call["service"])
        return self._switch_on([api], f"{_TYPE}.EnableServiceResponse", lambda: {"service": self._service(api)})

    def _enable_many(self, call: Call) -> Document:
        self._project.check(call["project"], "serviceusage.services.enable")
        names = list(call.body.get("serviceIds") or ())
        if not names or len(names) > _MOST_AT_ONCE:
            raise invalid(f"Invalid batch: the number of services must be between 1 and {_MOST_AT_ONCE}.")
        apis = [self._known(str(name)) for name in names]
        kind = f"{_TYPE}.BatchEnableServicesResponse"
        return self._switch_on(apis, kind, lambda: {"services": [self._service(api) for api in apis]})

    def _switch_on(self, apis: list[str], kind: str, response: Any) -> Document:
        wanted = {*apis, *(need for api in apis for need in _NEEDS.get(api, ()))}
        if not wanted & self._project.disabled:
            return self._operations.done("operations/noop.DONE_OPERATION", {"@type": kind, **response()})
        self._project.disabled -= wanted
        self._enabled()
        return self._begin(apis, kind, response)

    def _disable(self, call: Call) -> Document:
        self._project.check(call["project"], "serviceusage.services.disable")
        api = self._known(call["service"])
        kind = f"{_TYPE}.DisableServiceResponse"
        if api in self._project.disabled:
            raise GoogleError("FAILED_PRECONDITION", f"The service {api} is not enabled for consumer {self._parent}.")
        users = [each for each, needs in _NEEDS.items() if api in needs and each not in self._project.disabled]
        if users and not call.body.get("disableDependentServices"):
            raise GoogleError(
                "FAILED_PRECONDITION",
                f"The service {api} is depended on by the following active service(s): {','.join(users)}; Please "
                "specify disable_dependent_services=true if you want to proceed with disabling all services.",
                details=[error_info("COMMON_SU_SERVICE_HAS_DEPENDENT_SERVICES", "serviceusage.googleapis.com")],
            )
        self._project.disabled |= {api, *users}
        return self._begin([api], kind, lambda: {"service": self._service(api)})

    def _begin(self, apis: list[str], kind: str, response: Any) -> Document:
        names = [f"{self._parent}/services/{api}" for api in apis]
        metadata = {"@type": f"{_TYPE}.OperationMetadata", "resourceNames": names}
        name = f"operations/acat.p2-{self._project.number}-{new_uid()}"
        return self._operations.begin(name, metadata, lambda: {"@type": kind, **response()})

    def _operation(self, call: Call) -> Document:
        return self._operations.get(f"operations/{call['operation']}")

    def _known(self, api: str) -> str:
        if api not in APIS:
            raise GoogleError("NOT_FOUND", f"Service '{api}' not found or permission denied.")
        return api

    @property
    def _parent(self) -> str:
        return f"projects/{self._project.number}"

    def _service(self, api: str) -> Document:
        state = "DISABLED" if api in self._project.disabled else "ENABLED"
        config = {"name": api, "title": api.partition(".")[0]}
        return {"name": f"{self._parent}/services/{api}", "config": config, "state": state, "parent": self._parent}
