"""The API as the local cloud's own controllers use it: in the same process, with the same rules as over HTTP.

A controller that calls `Api` gets what a client of a real server gets: admission, defaulting, resourceVersions,
conflicts, finalizers, garbage collection. Calls are synchronous because the store is memory owned by one event loop;
watching is asynchronous.

Objects that come back are shared with the store. Never change one: `copy.deepcopy` it first.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

Object: TypeAlias = dict[str, Any]
PatchKind: TypeAlias = Literal["json", "merge", "strategic", "apply"]
EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class Change:
    """One watch event: what happened to which object of which resource (`pods`, `deployments.apps`)."""

    type: EventType
    resource: str
    object: Object


class ApiError(Exception):
    """A metav1.Status failure: HTTP code, reason, message, details and, for 429, Retry-After in seconds."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after

    def status(self) -> Object:
        """Give the Status object that goes over the wire."""
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if not self.reason:
            del status["reason"]
        if self.details is not None:
            status["details"] = dict(self.details)
        return status


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """What an admission hook sees: CREATE or UPDATE of an object (`old` for UPDATE), by which user."""

    operation: Literal["CREATE", "UPDATE", "DELETE"]
    resource: str
    subresource: str
    namespace: str
    object: Object
    old: Object | None
    user: str


# An admission hook changes the object in place (mutating) or raises ApiError (validating). The Autopilot imitation
# registers one; the API server itself knows nothing of GKE.
AdmissionHook: TypeAlias = Callable[[AdmissionRequest], None]


class Api(Protocol):
    """One cluster's API, in process. `resource` is `plural` or `plural.group`; all calls raise ApiError."""

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        ...

    def get(self, resource: str, name: str, namespace: str | None = None) -> Object:
        """Give one object."""
        ...

    def find(self, resource: str, name: str, namespace: str | None = None) -> Object | None:
        """Give one object, or None where there is none."""
        ...

    def list(
        self, resource: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Object]:
        """Give all objects that match, ordered by namespace and name."""
        ...

    def create(
        self, resource: str, body: Object, namespace: str | None = None, *, user: str = "system:controller"
    ) -> Object:
        """Create; the body may hold generateName and, unlike over HTTP, a status."""
        ...

    def update(self, resource: str, body: Object, *, subresource: str = "", user: str = "system:controller") -> Object:
        """Replace; a resourceVersion in the body is the precondition."""
        ...

    def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        kind: PatchKind = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
        user: str = "system:controller",
    ) -> Object:
        """Patch in one of the four ways."""
        ...

    def delete(
        self,
        resource: str,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        user: str = "system:controller",
    ) -> Object:
        """Delete, or begin to: finalizers, a Pod's grace and foreground deletion leave a deletionTimestamp."""
        ...

    def watch(self, *resources: str) -> AsyncIterator[Change]:
        """Give every present object as ADDED, then every change, in order, for ever."""
        ...
