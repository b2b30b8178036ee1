"""Google's errors, in the shapes that both transports carry them: a JSON envelope, and a gRPC status.

Handlers raise one exception class; each server turns it into its own wire form, so that a client sees the same
failure whichever way it asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# google.rpc.Code names with the HTTP code and the old `reason` that Google's REST APIs give with them.
_HTTP: dict[str, tuple[int, str]] = {
    "INVALID_ARGUMENT": (400, "badRequest"),
    "FAILED_PRECONDITION": (400, "failedPrecondition"),
    "UNAUTHENTICATED": (401, "authError"),
    "PERMISSION_DENIED": (403, "forbidden"),
    "NOT_FOUND": (404, "notFound"),
    "ABORTED": (409, "aborted"),
    "ALREADY_EXISTS": (409, "alreadyExists"),
    "RESOURCE_EXHAUSTED": (429, "rateLimitExceeded"),
    "INTERNAL": (500, "backendError"),
    "UNIMPLEMENTED": (501, "notImplemented"),
    "UNAVAILABLE": (503, "backendError"),
    "DEADLINE_EXCEEDED": (504, "deadlineExceeded"),
}
# The numbers of google.rpc.Code, as the errors of long-running operations carry them.
_RPC = {
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}
_STATUS_OF_HTTP = {code: status for status, (code, _) in reversed(_HTTP.items())}


@dataclass
class GoogleError(Exception):
    """A failure with its google.rpc.Code name, its message, for compute a special `reason`, and any details."""

    status: str
    message: str
    reason: str = ""
    details: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"

    @property
    def http_code(self) -> int:
        """The HTTP code that goes with the status; Compute Engine has one of its own for a stale fingerprint."""
        return 412 if self.reason == "conditionNotMet" else _HTTP[self.status][0]

    def envelope(self) -> dict[str, Any]:
        """Give the body of a REST answer."""
        reason = self.reason or _HTTP[self.status][1]
        error: dict[str, Any] = {
            "code": self.http_code,
            "message": self.message,
            "status": self.status,
            "errors": [{"message": self.message, "domain": "global", "reason": reason}],
        }
        return {"error": error | ({"details": list(self.details)} if self.details else {})}


def not_found(message: str) -> GoogleError:
    return GoogleError("NOT_FOUND", message)


def invalid(message: str) -> GoogleError:
    return GoogleError("INVALID_ARGUMENT", message, "invalid")


def unavailable(message: str) -> GoogleError:
    return GoogleError("UNAVAILABLE", message)


def unauthenticated() -> GoogleError:
    """Give the answer to a missing, unknown or expired access token, in Google's words."""
    return GoogleError(
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    )


def status_of_http(code: int) -> str:
    """Give the google.rpc.Code name for an HTTP code."""
    return _STATUS_OF_HTTP.get(code, "UNKNOWN")


def rpc_code(status: str) -> int:
    """Give the number of a google.rpc.Code name."""
    return _RPC.get(status, 2)


def error_info(reason: str, domain: str, **metadata: str) -> dict[str, Any]:
    """Give the detail by which a program can tell a refusal from another: google.rpc.ErrorInfo."""
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return {"@type": kind, "reason": reason, "domain": domain, "metadata": metadata}


def denied(permission: str, resource: str) -> GoogleError:
    """Refuse for want of a permission, in the words of the API that asked for it.

    Each API has its own; those of which no published words are known here get the commonest.
    """
    service, _, rest = permission.partition(".")
    api = f"{'cloudresourcemanager' if service == 'resourcemanager' else service}.googleapis.com"
    reason, domain = "IAM_PERMISSION_DENIED", "iam.googleapis.com"
    if service == "container":
        text = f'Required "{permission}" permission(s) for "{resource}".'
    elif service == "compute":
        text = f"Required '{permission}' permission for '{resource}'"
    elif service == "run":
        text = f"Permission '{permission}' denied on resource '{resource}' (or resource may not exist)."
    elif service == "cloudscheduler":
        text = (
            f'The principal (user or service account) lacks IAM permission "{permission}" for the resource '
            f'"{resource}" (or the resource may not exist).'
        )
    elif service == "cloudbuild":
        text = "The caller does not have permission"
    elif service == "serviceusage":
        reason, domain = "AUTH_PERMISSION_DENIED", api
        text = f"Permission denied to {rest.rpartition('.')[2]} services for consumer container [{resource}]"
    elif service == "iam":
        text = f"Permission '{permission}' denied on resource (or it may not exist)."
    else:
        text = f"Permission '{permission}' denied on resource '//{api}/{resource}' (or it may not exist)."
    details = [error_info(reason, domain, permission=permission, resource=resource)]
    return GoogleError("PERMISSION_DENIED", text, details=details)
