"""IAM: custom roles, with Google's soft deletion, and the predefined ones.

A deleted role keeps its name for weeks: it is shown with `deleted`, grants nothing, cannot be made again, and can be
undeleted. Source: https://cloud.google.com/iam/docs/reference/rest/v1/projects.roles.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, check_etag, page, route
from controlplane.localcloud.gcp.admin.permissions import PERMISSIONS, PREDEFINED, granted_by
from controlplane.localcloud.gcp.admin.policies import etag_of
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.project import Project

_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")
_STAGES = ("ALPHA", "BETA", "GA", "DEPRECATED", "DISABLED", "EAP")
_FIELDS = ("title", "description", "includedPermissions", "stage")
_PARENT = "/v1/projects/{project}/roles"
_MOST_TITLE = 100


class RolesApi:
    """Makes, changes, deletes and undeletes the project's roles."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._roles: dict[str, Document] = {}

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        one = f"{_PARENT}/{{role}}"
        yield route("GET", _PARENT, self._list)
        yield route("POST", _PARENT, self._create)
        yield route("GET", one, self._get)
        yield route("PATCH", one, self._patch)
        yield route("DELETE", one, self._delete)
        yield route("POST", f"{one}:undelete", self._undelete)
        yield route("GET", "/v1/roles/{role}", self._get_predefined)
        yield route("POST", "/v1/permissions:queryTestablePermissions", self._testable)

    def permissions(self, name: str) -> frozenset[str] | None:
        """Give what a custom role grants, by its full name; None where there is no such role."""
        role = self._roles.get(name)
        if role is None:
            return None
        off = role.get("deleted") or role.get("stage") == "DISABLED"
        return frozenset() if off else frozenset(role.get("includedPermissions") or ())

    def to_state(self) -> Document:
        """Give what must outlive the daemon."""
        return self._roles

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._roles = dict(state)

    def _list(self, call: Call) -> Document:
        self._project.check(call["project"], "iam.roles.list")
        deleted = call.query.get("showDeleted", "").lower() == "true"
        full = call.query.get("view") == "FULL"
        found = [self._shown(name, full=full) for name in sorted(self._roles)]
        return page("roles", [each for each in found if deleted or not each.get("deleted")], call.query)

    def _create(self, call: Call) -> Document:
        self._project.check(call["project"], "iam.roles.create")
        role = str(call.body.get("roleId") or "")
        if not _ID.fullmatch(role):
            raise invalid(f"The role_id '{role}' must match the regular expression '[a-zA-Z0-9_\\.]{{3,64}}'.")
        name = f"projects/{self._project.name}/roles/{role}"
        if name in self._roles:
            where = f"projects/{self._project.name}"
            raise GoogleError("ALREADY_EXISTS", f"A role named {role} in {where} already exists.")
        self._roles[name] = {"name": name, **self._checked(call.body.get("role") or {})}
        return self._shown(name)

    def _get(self, call: Call) -> Document:
        return self._shown(self._asked(call, "iam.roles.get"))

    def _get_predefined(self, call: Call) -> Document:
        name = f"roles/{call['role']}"
        if name not in PREDEFINED:
            raise not_found(f"The role named {name} was not found.")
        return {"name": name, "stage": "GA", "includedPermissions": sorted(granted_by(name)), "etag": "AA=="}

    def _testable(self, call: Call) -> Document:
        """List every permission that a custom role may hold; gcloud looks before it makes one."""
        known = [{"name": name, "stage": "GA"} for name in sorted(PERMISSIONS)]
        paging = {key: str(call.body[key]) for key in ("pageSize", "pageToken") if key in call.body}
        return page("permissions", known, paging)

    def _patch(self, call: Call) -> Document:
        name = self._asked(call, "iam.roles.update")
        if self._roles[name].get("deleted"):
            raise GoogleError(
                "FAILED_PRECONDITION", f"You can't update role {name} because it has been marked for deletion."
            )
        check_etag(self._shown(name)["etag"], call.body.get("etag"))
        mask = {"includedPermissions" if each == "included_permissions" else each for each in call.mask}
        changes = {field: call.body[field] for field in _FIELDS if field in mask and field in call.body}
        emptied = {field for field in _FIELDS if field in mask and field not in call.body}
        kept = {field: value for field, value in self._roles[name].items() if field not in emptied}
        self._roles[name] = {"name": name, **self._checked({**kept, **changes})}
        return self._shown(name)

    def _delete(self, call: Call) -> Document:
        name = self._asked(call, "iam.roles.delete")
        check_etag(self._shown(name)["etag"], call.query.get("etag"))
        if self._roles[name].get("deleted"):
            raise GoogleError("FAILED_PRECONDITION", f"You can't delete role {name} because it has been deleted.")
        self._roles[name]["deleted"] = True
        return self._shown(name)

    def _undelete(self, call: Call) -> Document:
        name = self._asked(call, "iam.roles.undelete")
        check_etag(self._shown(name)["etag"], call.body.get("etag"))
        if not self._roles[name].get("deleted"):
            raise GoogleError("FAILED_PRECONDITION", f"You can't undelete role {name} because it is not deleted.")
        del self._roles[name]["deleted"]
        return self._shown(name)

    def _asked(self, call: Call, permission: str) -> str:
        name = f"projects/{self._project.name}/roles/{call['role']}"
        self._project.check(call["project"], permission)
        if name not in self._roles:
            raise not_found(f"The role named {name} was not found.")
        return name

    def _checked(self, wanted: Mapping[str, Any]) -> Document:
        role = {field: wanted[field] for field in _FIELDS if wanted.get(field)}
        role.setdefault("stage", "ALPHA")
        if role["stage"] not in _STAGES:
            raise invalid(f"Invalid value at 'role.stage': \"{role['stage']}\"")
        if len(role.get("title", "")) > _MOST_TITLE:
            raise invalid(f"The title must be at most {_MOST_TITLE} characters.")
        for permission in role.get("includedPermissions", ()):
            if permission not in PERMISSIONS:
                raise invalid(f"Permission {permission} is not valid.")
        if "includedPermissions" in role:
            role["includedPermissions"] = sorted(set(role["includedPermissions"]))
        return role

    def _shown(self, name: str, *, full: bool = True) -> Document:
        role = self._roles[name]
        etag = etag_of(role)
        return {key: value for key, value in role.items() if full or key != "includedPermissions"} | {"etag": etag}
