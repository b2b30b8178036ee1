"""Service Usage and Resource Manager, as far as somebody asks what a project allows: APIs and permissions.

Every API is enabled until it is disabled, and every permission granted until a fault denies it; both then hold for the
other endpoints too.
"""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.gcp.rpc import json_response, read_json

APIS = (
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "container.googleapis.com",
    "gkehub.googleapis.com",
    "multiclusteringress.googleapis.com",
    "multiclusterservicediscovery.googleapis.com",
    "run.googleapis.com",
    "serviceusage.googleapis.com",
)
_SERVICES = re.compile(r"/v1/projects/([^/]+)/services")
_SWITCH = re.compile(r"/v1/projects/([^/]+)/services/([a-z.]+):(enable|disable)")
_ASKED_PERMISSIONS = re.compile(r"/v1/projects/([^/:]+):testIamPermissions")


class Administration:
    """Answers what concerns the project as a whole."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def takes(self, path: str) -> bool:
        """Say whether a path is one of these."""
        return any(pattern.fullmatch(path) for pattern in (_SERVICES, _SWITCH, _ASKED_PERMISSIONS))

    async def rest(self, request: Request) -> Response:
        """Answer a call."""
        path, verb = request.url.path, request.method
        if verb == "GET" and (found := _SERVICES.fullmatch(path)):
            self._project.check(found[1], "serviceusage.services.list")
            return json_response(self._list(request.query_params.get("filter", "")))
        if verb == "POST" and (found := _SWITCH.fullmatch(path)):
            self._project.check(found[1], f"serviceusage.services.{found[3]}")
            return json_response(self._switch(found[2], on=found[3] == "enable"))
        if verb == "POST" and (found := _ASKED_PERMISSIONS.fullmatch(path)):
            self._project.check(found[1], "resourcemanager.projects.get")
            body = read_json(await request.body()) or {}
            return json_response(self._granted(body.get("permissions") or []))
        raise not_found("The requested URL was not found on this server.")

    def _list(self, wanted: str) -> dict[str, Any]:
        states = {api: "DISABLED" if api in self._project.disabled else "ENABLED" for api in APIS}
        if wanted not in ("", "state:ENABLED", "state:DISABLED"):
            raise invalid(f"Invalid filter: {wanted}")
        state = wanted.removeprefix("state:")
        return {"services": [self._service(api, now) for api, now in states.items() if state in ("", now)]}

    def _switch(self, api: str, *, on: bool) -> dict[str, Any]:
        if api not in APIS:
            raise GoogleError("NOT_FOUND", f"Service '{api}' not found or permission denied.")
        if on:
            self._project.disabled.discard(api)
        else:
            self._project.disabled.add(api)
        return {"name": "operations/noop.DONE_OPERATION", "done": True, "response": {}}

    def _granted(self, asked: list[str]) -> dict[str, Any]:
        granted = [name for name in asked if name not in self._project.denied]
        return {"permissions": granted} if granted else {}

    def _service(self, api: str, state: str) -> dict[str, Any]:
        parent = f"projects/{self._project.number}"
        return {"name": f"{parent}/services/{api}", "config": {"name": api}, "state": state, "parent": parent}
