# ruff: noqa: N818 - they are named by what happened, as the Google and Kubernetes APIs name it
"""Errors by consequence. What a caller may do next is decided by the class, never by a status code or a text.

`retry_in_pass` says whether a safe read may be tried again now; `unknown` is the reason a fact gets when a read ended
so; `ends_cluster` says that no further write goes to that cluster in this pass.
"""

from typing import ClassVar

from controlplane.model.facts import UnknownReason


class GatewayError(Exception):
    """Something outside did not do what was asked. `message` is sanitised; the original is the cause."""

    retry_in_pass: ClassVar[bool] = False
    ends_cluster: ClassVar[bool] = False
    unknown: ClassVar[UnknownReason] = UnknownReason.SERVER_FAULT
    hint: ClassVar[str] = "see the message"

    def __init__(self, message: str, *, retry_after: float | None = None, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.field = field


class StockOut(GatewayError):
    """Google Cloud has no such capacity in the zone or region at the moment."""

    unknown = UnknownReason.NOT_PUBLISHED
    hint = "wait, or allow another region, accelerator or capacity type"


class QuotaExceeded(GatewayError):
    """A quota of the project or region does not allow it; waiting does not help."""

    unknown = UnknownReason.NOT_PUBLISHED
    hint = "raise the quota named in the message, or allow another region"


class Unreachable(GatewayError):
    """No connection came about; nothing was sent."""

    retry_in_pass = True
    ends_cluster = True
    unknown = UnknownReason.UNREACHABLE
    hint = "check the endpoint, the network and the certificate authority"


class DeadlineExceeded(GatewayError):
    """The answer to a read did not come in time."""

    ends_cluster = True
    unknown = UnknownReason.DEADLINE_EXCEEDED
    hint = "the API is slow or hangs; the next pass asks again"


class Throttled(GatewayError):
    """Too many requests; `retry_after` seconds are to pass first, where the server said so."""

    retry_in_pass = True
    ends_cluster = True
    unknown = UnknownReason.THROTTLED
    hint = "fewer passes per hour, or a higher API quota"


class ServerFault(GatewayError):
    """The server failed on a read."""

    retry_in_pass = True
    ends_cluster = True
    unknown = UnknownReason.SERVER_FAULT
    hint = "the next pass asks again; see the provider's status page when it stays"


class Conflict(GatewayError):
    """The object changed since it was read; read again before writing."""

    hint = "the next pass reads again"


class AlreadyExists(Conflict):
    """An object of that name is there already."""

    hint = "the next pass reads it"


class MemberFailed(GatewayError):
    """A member could not be wired or unwired; the config cluster is not to blame, and takes further writes."""

    hint = "the next pass looks again"


class Gone(GatewayError):
    """The object, its namespace or its kind is not there."""

    unknown = UnknownReason.NOT_PUBLISHED
    hint = "it was deleted, or its custom resource definition is not installed"


class ListExpired(Gone):
    """A list that is read in pages expired between two of them (410), so it is not complete."""

    unknown = UnknownReason.LIST_INCOMPLETE
    hint = "the next pass lists again"


class ListIncomplete(GatewayError):
    """A list that was answered with success leaves out objects that must be there."""

    unknown = UnknownReason.LIST_INCOMPLETE
    hint = "the next pass lists again"


class Invalid(GatewayError):
    """The request is refused as it stands, whoever sends it whenever. `field` names the culprit where known."""

    unknown = UnknownReason.UNREADABLE
    hint = "correct the field; retrying does not help"


class RejectedSpec(Invalid):
    """Autopilot's admission (Warden) refuses the Pod; `field` is the constraint. No other region takes it either."""

    hint = "correct the Pod of the GPUService; retrying or moving does not help"


class Unreadable(GatewayError):
    """An answer came that is not what the API promises (not JSON, cut off, of another shape)."""

    unknown = UnknownReason.UNREADABLE
    ends_cluster = True
    hint = "something between here and the API alters answers, or the API has changed"


class AuthExpired(GatewayError):
    """The credentials are not accepted, expired or cannot be refreshed."""

    ends_cluster = True
    unknown = UnknownReason.AUTH_EXPIRED
    hint = "renew the credentials (gcloud auth application-default login, or the service account's key)"


class Forbidden(GatewayError):
    """The credentials are good and lack a permission, which the message names."""

    ends_cluster = True
    unknown = UnknownReason.FORBIDDEN
    hint = "grant the permission named in the message; the roles are in regional_deploy/rbac"


class Ambiguous(GatewayError):
    """A write was sent and no answer came: it may or may not have happened."""

    ends_cluster = True
    unknown = UnknownReason.UNREACHABLE
    hint = "the next pass looks at what is there"


class ConfigurationProblem(GatewayError):
    """What was configured cannot work here; the message says what to do."""

    hint = "see the message"
