"""Resource Manager: the project itself, and its IAM policy.

Source: https://cloud.google.com/resource-manager/reference/rest/v1/projects.
"""

from collections.abc import Iterable

from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, page, route
from controlplane.localcloud.gcp.admin.permissions import PERMISSIONS
from controlplane.localcloud.gcp.admin.policies import Policies
from controlplane.localcloud.gcp.callers import caller
from controlplane.localcloud.gcp.errors import invalid
from controlplane.localcloud.gcp.project import Project

_CREATED = "2026-01-01T00:00:00.000Z"


class ResourceManagerApi:
    """Describes the project and says who may do what in it."""

    def __init__(self, project: Project, policies: Policies) -> None:
        self._project = project
        self._policies = policies
        self._name = f"projects/{project.name}"

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        yield route("GET", "/v1/projects", self._list)
        yield route("GET", "/v1/projects/{project}", self._get)
        for version in ("v1", "v1beta2"):
            yield route("GET", f"/{version}/projects/{{project}}/locations", self._locations)
        yield route("GET", "/v3/projects/{project}", self._get_v3)
        for version in ("v1", "v3"):
            yield route("POST", f"/{version}/projects/{{project}}:getIamPolicy", self._policy)
            yield route("POST", f"/{version}/projects/{{project}}:setIamPolicy", self._set_policy)
            yield route("POST", f"/{version}/projects/{{project}}:testIamPermissions", self._granted)

    def _list(self, _call: Call) -> Document:
        self._project.check_enabled("resourcemanager")
        seen = self._project.allows(caller.get(), "resourcemanager.projects.get")
        return {"projects": [self._document()]} if seen else {}

    def _get(self, call: Call) -> Document:
        self._project.check(call["project"], "resourcemanager.projects.get")
        return self._document()

    def _get_v3(self, call: Call) -> Document:
        self._project.check(call["project"], "resourcemanager.projects.get")
        return {
            "name": f"projects/{self._project.number}",
            "projectId": self._project.name,
            "displayName": self._project.name,
            "state": "ACTIVE",
            "createTime": _CREATED,
            "updateTime": _CREATED,
        }

    def _locations(self, call: Call) -> Document:
        """List the regions, as each API that has locations does: on Google Cloud at its own host."""
        self._project.check(call["project"], "resourcemanager.projects.get")
        base = f"projects/{self._project.name}/locations"
        names = [region.name for region in self._project.scenario.regions]
        found = [{"name": f"{base}/{name}", "locationId": name, "displayName": name} for name in names]
        return page("locations", found, call.query)

    def _policy(self, call: Call) -> Document:
        self._project.check(call["project"], "resourcemanager.projects.getIamPolicy")
        return self._policies.get(self._name, asked_version(call))

    def _set_policy(self, call: Call) -> Document:
        self._project.check(call["project"], "resourcemanager.projects.setIamPolicy")
        return self._policies.set(self._name, call.body)

    def _granted(self, call: Call) -> Document:
        self._project.check_enabled("resourcemanager")
        if call["project"] not in (self._project.name, str(self._project.number)):
            self._project.check(call["project"], "resourcemanager.projects.get")
        return granted(self._project, self._policies, call, "")

    def _document(self) -> Document:
        return {
            "projectNumber": str(self._project.number),
            "projectId": self._project.name,
            "lifecycleState": "ACTIVE",
            "name": self._project.name,
            "createTime": _CREATED,
        }


def asked_version(call: Call) -> int:
    """Give the policy version that a getIamPolicy asks for."""
    version = (call.body.get("options") or {}).get("requestedPolicyVersion", 1)
    return version if isinstance(version, int) else 1


def granted(project: Project, policies: Policies, call: Call, resource: str) -> Document:
    """Answer testIamPermissions: those of the permissions that the caller has; asking needs none itself."""
    asked = [str(each) for each in call.body.get("permissions") or ()]
    for permission in asked:
        if permission not in PERMISSIONS:
            raise invalid(f"Permission {permission} is not valid for this resource.")
    who = caller.get()
    found = [each for each in asked if each not in project.denied and policies.allows(who, each, resource)]
    return {"permissions": found} if found else {}
