"""Google's errors, in the shapes that both transports carry them: a JSON envelope, and a gRPC status.

Handlers raise one exception class; each server turns it into its own wire form, so that a client sees the same
failure whichever way it asks.
"""

from dataclasses import dataclass
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
_STATUS_OF_HTTP = {code: status for status, (code, _) in reversed(_HTTP.items())}


@dataclass
class GoogleError(Exception):
    """A failure with its google.rpc.Code name, its message and, for compute, a special `reason`."""

    status: str
    message: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"

    @property
    def http_code(self) -> int:
        """The HTTP code that goes with the status."""
        return _HTTP[self.status][0]

    def envelope(self) -> dict[str, Any]:
        """Give the body of a REST answer."""
        reason = self.reason or _HTTP[self.status][1]
        return {
            "error": {
                "code": self.http_code,
                "message": self.message,
                "status": self.status,
                "errors": [{"message": self.message, "domain": "global", "reason": reason}],
            }
        }


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
