"""The administration APIs of a project over plain REST: accounts, roles, policies, repositories, builds, jobs.

Each has a client library of its own, and none is among those that the project has; what is asked of them are a few
calls of the same shape, so they are made by path. A resource that is not there is None, a write is made once, and what
Google Cloud goes on doing after it has answered is an operation whose state is read here too.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import Forbidden, GatewayError, Gone, Unreadable
from controlplane.gateways.request import Json, object_of, send
from controlplane.gateways.retrying import Retrying, guarded
from controlplane.gateways.sanitise import sanitise
from controlplane.model.growth import OperationSeen, Progress

_MOST_PAGES = 50
_PERMISSIONS_AT_ONCE = 100
_DISABLED = re.compile(r"has not been used in project|it is disabled|SERVICE_DISABLED", re.IGNORECASE)


class Administration:
    """Calls Google Cloud's APIs by path. `api` is the host's first word. Every method raises GatewayError."""

    def __init__(self, access: GoogleAccess, *, retrying: Retrying, timeouts: tuple[float, float]) -> None:
        self._access, self._retrying, self._timeouts = access, retrying, timeouts
        self._session: Any = None

    def get(self, api: str, path: str) -> Json | None:
        """Read a resource; None when it is not there."""
        return self.read(api, "GET", path)

    def read(self, api: str, method: str, path: str, body: Json | None = None) -> Json | None:
        """Make a call that changes nothing, whatever its method; it is repeated as reads are."""
        try:
            return self._retrying.read(lambda: self._once(api, method, path, body, write=False))
        except Gone:
            return None

    def pages(self, api: str, path: str, key: str) -> list[Json]:
        """Read a whole list; `key` names what its pages hold. A list that does not end raises."""
        found: list[Json] = []
        token, joint = "", "&" if "?" in path else "?"
        for _ in range(_MOST_PAGES):
            page = self.get(api, f"{path}{joint}pageToken={quote(token, safe='')}" if token else path) or {}
            found += page.get(key) or []
            token = str(page.get("nextPageToken") or "")
            if not token:
                return found
        raise Unreadable(f"the list of {key} does not end")

    def write(self, api: str, method: str, path: str, body: Json | None = None) -> Json:
        """Make a call that changes something, once. What had no answer is Ambiguous."""
        guarded(self._access.token, write=False)  # without a token nothing is sent, so that is never ambiguous
        return guarded(lambda: self._once(api, method, path, body, write=True), write=True)

    def upload(self, bucket: str, name: str, data: bytes) -> None:
        """Put an object into a bucket, in the place of one of that name."""
        path = f"/upload/storage/v1/b/{quote(bucket)}/o?uploadType=media&name={quote(name, safe='')}"
        guarded(self._access.token, write=False)
        guarded(lambda: self._once("storage", "POST", path, data, write=True), write=True)

    def number(self) -> str:
        """Give the project's number, from the one API that every project has. Raises Gone when there is no project."""
        project = self._access.project.name
        found = self.get("serviceusage", f"/v1/projects/{project}/services/serviceusage.googleapis.com") or {}
        number = str(found.get("parent") or found.get("name") or "").removeprefix("projects/").partition("/")[0]
        if not number.isdigit():
            raise Gone(f"there is no project {project}, or nothing in it is granted")
        return number

    def granted(self, permissions: Sequence[str]) -> frozenset[str]:
        """Give those of the permissions that the caller has on the project."""
        path, has = f"/v1/projects/{self._access.project.name}:testIamPermissions", set()
        for start in range(0, len(permissions), _PERMISSIONS_AT_ONCE):
            body = {"permissions": list(permissions[start : start + _PERMISSIONS_AT_ONCE])}
            answer = self.read("cloudresourcemanager", "POST", path, body) or {}
            has |= set(map(str, answer.get("permissions") or ()))
        return frozenset(has)

    def operation(self, api: str, path: str) -> OperationSeen:
        """Look how far an operation is: a long-running one, or one of the compute or container API."""
        found = self.get(api, path)
        if found is None:
            return OperationSeen(Progress.GONE)
        if not (found.get("done") or found.get("status") == "DONE"):
            return OperationSeen(Progress.RUNNING)
        error = found.get("error")
        if not error:
            return OperationSeen(Progress.DONE)
        errors = error.get("errors") if isinstance(error, Mapping) else None
        told = errors[0] if isinstance(errors, list) and errors else error
        message = told.get("message") if isinstance(told, Mapping) else told
        return OperationSeen(Progress.FAILED, sanitise(message or "no reason was given", 300))

    def _once(self, api: str, method: str, path: str, body: Json | bytes | None, *, write: bool) -> Json:
        if self._session is None:  # one for all calls, which follow each other: connections are kept
            self._session = self._access.session()
        answer = send(self._access, self._session, api, method, path, body=body, timeouts=self._timeouts)
        return object_of(answer, write=write)


def disabled(error: GatewayError) -> bool:
    """Say whether a call was refused because its API is not enabled in the project."""
    return isinstance(error, Forbidden) and _DISABLED.search(error.message) is not None
