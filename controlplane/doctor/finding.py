"""What an examination finds, as values."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controlplane.gateways import errors
from controlplane.gateways.sanitise import sanitise
from controlplane.model.offering import ClusterRef

_DISABLED = re.compile(r"([a-z]+\.googleapis\.com)? ?API has not been used in project|it is disabled", re.IGNORECASE)
_NAMED = r"([a-z]+(?:\.[a-zA-Z]+){2})"
# GKE's and compute's words, and those of most others: Permission 'X' denied on resource ...
_PERMISSION = re.compile(rf"\b{_NAMED}\b(?=\W{{0,3}} ?permission)|(?:Required|[Pp]ermission) '{_NAMED}'")
LOGIN = "gcloud auth application-default login"


class State(StrEnum):
    """How it stands: well, worth knowing, or to be mended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    check: its name, one of a fixed list. subject: which cluster, region or address. what: how it stands. breaks: what
    does not work because of it. mend: the command that mends it. The last two are empty where all is well.
    """

    check: str
    subject: str
    state: State
    what: str
    breaks: str = ""
    mend: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "check": self.check, "subject": self.subject, "state": self.state.value,
            "what": self.what, "breaks": self.breaks, "mend": self.mend,
        }  # fmt: skip


def well(check: str, subject: str, what: str) -> Finding:
    """Give a finding of something that is as it should be."""
    return Finding(check, subject, State.OK, what)


def command(*words: str) -> str:
    """Write a command; what came from outside is quoted."""
    return shlex.join(sanitise(word, 200) for word in words)


Kubectl = Callable[[ClusterRef], str]
"""Gives the words with which kubectl reaches a cluster."""


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name it is asked: what the commands that mend a refusal need to know.

    config: the config cluster. kubectl: None means that gcloud has to fetch the cluster's credentials first; where it
    is given, gpuhunter finds the cloud without being told its project.
    """

    project: str
    config: ClusterRef
    email: str = ""
    kubectl: "Kubectl | None" = None

    def gpuhunter(self, *words: str) -> str:
        """Give the command of our own that speaks to this very cloud."""
        where = () if self.kubectl else (f"--project={self.project}", f"--config-cluster={self.config.link}")
        return command("gpuhunter", *where, *words)

    def applied(self, ref: ClusterRef, manifests: str) -> str:
        """Give the command that applies what another one prints to a cluster."""
        login, kubectl = self._reaching(ref)
        return f"{login}{manifests} | {kubectl} apply --server-side -f -"

    def edited(self, key: str) -> str:
        """Give the command that edits a GPUService, by namespace/name."""
        login, kubectl = self._reaching(self.config)
        namespace, _, name = key.rpartition("/")
        return f"{login}{kubectl} {command('edit', 'gpuservice', name, f'--namespace={namespace}')}"

    def _reaching(self, ref: ClusterRef) -> tuple[str, str]:
        """Give what has to be done before kubectl reaches a cluster, and the words with which it then does."""
        if self.kubectl is not None:
            return "", self.kubectl(ref)
        place = f"--location={ref.location}"
        login = command(
            "gcloud", "container", "clusters", "get-credentials", ref.name, place, f"--project={self.project}"
        )
        return f"{login} && ", "kubectl"

    def refused(
        self, check: str, subject: str, error: errors.GatewayError, *, api: str, breaks: str, optional: bool = False
    ) -> Finding:
        """Give the finding of a question that was not answered. `optional`: only the check needs the answer."""
        state = State.WARN if optional else State.FAIL
        return Finding(check, subject, state, error.message, breaks, self._remedy(error, api))

    @property
    def member(self) -> str:
        """Give who asks as a policy names them."""
        kind = "serviceAccount" if not self.email or self.email.endswith("gserviceaccount.com") else "user"
        return f"{kind}:{self.email or 'EMAIL'}"

    def grant(self, role: str = "") -> str:
        """Give the command that grants a role, or the custom one."""
        granted = f"--role={role or f'projects/{self.project}/roles/gpuHunter'}"
        return command("gcloud", "projects", "add-iam-policy-binding", self.project, f"--member={self.member}", granted)

    def custom_role(self, name: str = "gpuHunter", file: str = "google-cloud-role") -> str:
        """Give the commands that bring a custom role to what its file says, and grant it."""
        said = f"--project={self.project}", f"--file=regional_deploy/rbac/{file}.yaml"
        update = command("gcloud", "iam", "roles", "update", name, *said, "--quiet")
        create = command("gcloud", "iam", "roles", "create", name, *said)
        return f"{update} || {create}; {self.grant(f'projects/{self.project}/roles/{name}')}"

    def _remedy(self, error: errors.GatewayError, api: str) -> str:
        if isinstance(error, errors.ConfigurationProblem | errors.AuthExpired):
            return LOGIN
        if isinstance(error, errors.Forbidden) and api_disabled(error.message):
            return command("gcloud", "services", "enable", api, f"--project={self.project}")
        if isinstance(error, errors.Forbidden):
            return self.grant()
        if isinstance(error, errors.Unreachable | errors.DeadlineExceeded | errors.ServerFault | errors.Throttled):
            return command("curl", "--verbose", "--max-time", "10", f"https://{api}/")
        return command("gcloud", "projects", "describe", self.project)


def api_disabled(message: str) -> bool:
    """Say whether a refusal means that the API is not enabled, rather than that a permission lacks."""
    return _DISABLED.search(message) is not None


def missing_permission(error: errors.GatewayError) -> str:
    """Give the permission that a refusal names; empty when it names none."""
    found = _PERMISSION.search(error.message)
    return (found[1] or found[2]) if found else ""
