"""What a person can do about a refusal, by its consequence: one line, with the command where there is one."""

import re

from controlplane.gateways import errors
from controlplane.gateways.administration import disabled
from controlplane.gateways.errors import GatewayError

LOGIN = "gcloud auth application-default login"
_QUOTA = re.compile(r"\bquota", re.IGNORECASE)
_PERMISSION = re.compile(r"\b[a-z]+(?:\.[a-zA-Z]+){2}\b(?!\.com)")


class Halted(GatewayError):  # noqa: N818 - named by what happened, as those of the gateways
    """Bootstrap goes no further; `hint` says what to do before it is run again. All before it stands."""

    def __init__(self, part: str, what: str, remedy: str) -> None:
        super().__init__(f"{part}: {what}")
        self.hint = remedy  # type: ignore[misc]


def halted(part: str, error: GatewayError, *, api: str, project: str) -> Halted:
    """Give the line for an error that nothing here can cure."""
    return Halted(part, error.message, f"{remedy(error, api=api, project=project)}; then run this again")


def remedy(error: GatewayError, *, api: str, project: str) -> str:
    """Say what cures an error."""
    if isinstance(error, Halted):
        return error.hint
    if disabled(error):
        return f"`gcloud services enable {api}.googleapis.com --project={project}`"
    if isinstance(error, errors.Forbidden):
        found = _PERMISSION.search(error.message)
        what = f"the permission {found[0]}" if found else "what the message names"
        return (
            f"grant {what} to the account that runs this, or an owner's role:"
            f" `gcloud projects add-iam-policy-binding {project} --member=user:EMAIL --role=roles/owner`"
        )
    if isinstance(error, errors.QuotaExceeded | errors.StockOut) or _QUOTA.search(error.message):
        return (
            "ask for more at https://console.cloud.google.com/iam-admin/quotas"
            f"?project={project}, or name another region in the Fleet"
        )
    if isinstance(error, errors.AuthExpired | errors.ConfigurationProblem):
        return f"`{LOGIN}`"
    if isinstance(error, errors.AlreadyExists):
        return "remove what has the name, or take another one in the Fleet"
    if isinstance(error, errors.Ambiguous):
        return "running this again looks at what is there"
    return error.hint
