"""The failures of the API server, worded as kube-apiserver words them, because clients match on texts and details.

The 422 with field causes lives with the schema rules; here is what the REST machinery itself refuses.
"""

from collections.abc import Mapping
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError


def _details(resource: str, name: str) -> dict[str, Any]:
    plural, _, group = resource.partition(".")
    details = {"name": name, "group": group, "kind": plural}
    return {key: value for key, value in details.items() if value}


def not_found(resource: str, name: str) -> ApiError:
    """Say that this object does not exist."""
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', details=_details(resource, name))


def no_such_path() -> ApiError:
    """Say that no resource is served there."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: str, name: str) -> ApiError:
    """Say that the name is taken."""
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists', details=_details(resource, name))


def conflict(resource: str, name: str, why: str) -> ApiError:
    """Say that a precondition does not hold."""
    text = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return ApiError(409, "Conflict", text, details=_details(resource, name))


def modified(resource: str, name: str) -> ApiError:
    """Say that the resourceVersion is not the stored one."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def bad_request(message: str) -> ApiError:
    """Say that the request makes no sense."""
    return ApiError(400, "BadRequest", message)


def method_not_allowed() -> ApiError:
    """Say that the resource has no such verb."""
    text = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", text, details={})


def unsupported_media_type(*accepted: str) -> ApiError:
    """Say which bodies can be read."""
    text = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return ApiError(415, "UnsupportedMediaType", text)


def too_large(limit: int) -> ApiError:
    """Say that the body is more than is read at all."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def too_large_to_store() -> ApiError:
    """Say that the object is more than one entry of the database may be."""
    return ApiError(500, "", "etcdserver: request is too large")


def not_acceptable(*offered: str) -> ApiError:
    """Say which answers can be given."""
    text = "only the following media types are accepted: " + ", ".join(offered)
    return ApiError(406, "NotAcceptable", text)


def unauthorized() -> ApiError:
    """Say that the token is missing or not valid."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: str, name: str, why: str, causes: list[Mapping[str, str]] | None = None) -> ApiError:
    """Say that this user or this moment does not allow it."""
    details = _details(resource, name)
    if causes:
        details["causes"] = [dict(cause) for cause in causes]
    subject = f'{resource} "{name}"' if name else resource
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details=details)


def expired(message: str, *, continue_token: str = "") -> ApiError:
    """Say that history does not reach back so far; a list can go on with the token, inconsistently."""
    return ExpiredError(message, continue_token)


class ExpiredError(ApiError):
    """410, which may carry a token for going on with a paged list."""

    def __init__(self, message: str, continue_token: str) -> None:
        super().__init__(410, "Expired", message)
        self.continue_token = continue_token

    def status(self) -> dict[str, Any]:
        """Give the Status object that goes over the wire."""
        status = super().status()
        if self.continue_token:
            status["metadata"] = {"continue": self.continue_token}
        return status


def too_large_resource_version(wanted: int, current: int) -> ApiError:
    """Say that this server has not seen such a resourceVersion yet."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    text = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return ApiError(504, "Timeout", text, details=details, retry_after=1)


def too_many_requests(message: str, *, retry_after: int, details: Mapping[str, Any] | None = None) -> ApiError:
    """Say: later."""
    return ApiError(429, "TooManyRequests", message, details=details, retry_after=retry_after)


def unavailable(message: str) -> ApiError:
    """Say that the server cannot answer now."""
    return ApiError(503, "ServiceUnavailable", message)
