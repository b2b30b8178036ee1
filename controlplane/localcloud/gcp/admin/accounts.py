"""IAM: service accounts, who may use them, and access tokens for those who may.

Sources: https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts and
https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from controlplane.localcloud.clock import Clock, new_uid, rfc3339
from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, masked, page, route
from controlplane.localcloud.gcp.admin.policies import Policies, etag_of
from controlplane.localcloud.gcp.admin.projects import asked_version, granted
from controlplane.localcloud.gcp.compute.catalogue import number
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.project import Project

_ID = re.compile(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])")
_PARENT = "/v1/projects/{project}/serviceAccounts"
_LONGEST_TOKEN_SECONDS = 3600


class ServiceAccountsApi:
    """Makes, lists and deletes service accounts. `issue` gives an access token: (email, seconds) -> token."""

    def __init__(self, project: Project, clock: Clock, issue: Callable[[str, float], str]) -> None:
        self._project = project
        self._clock = clock
        self._issue = issue
        self._accounts: dict[str, Document] = {}
        self._policies: Policies

    def bind(self, policies: Policies) -> None:
        """Take the policies, which in turn ask here which accounts exist."""
        self._policies = policies

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        one = f"{_PARENT}/{{account}}"
        yield route("GET", _PARENT, self._list)
        yield route("POST", _PARENT, self._create)
        yield route("GET", one, self._get)
        yield route("PATCH", one, self._patch)
        yield route("DELETE", one, self._delete)
        yield route("POST", f"{one}:enable", self._enable)
        yield route("POST", f"{one}:disable", self._disable)
        for verb in ("GET", "POST"):
            yield route(verb, f"{one}:getIamPolicy", self._policy)
        yield route("POST", f"{one}:setIamPolicy", self._set_policy)
        yield route("POST", f"{one}:testIamPermissions", self._granted)
        yield route("POST", f"{one}:generateAccessToken", self._token)

    def exists(self, email: str) -> bool:
        """Say whether there is such an account."""
        return email in self._accounts

    def add(self, email: str, display_name: str, description: str = "") -> Document:
        """Make an account, if there is none of this name."""
        if email not in self._accounts:
            unique = number(new_uid()).zfill(21)[:21]
            self._accounts[email] = {
                "name": f"projects/{self._project.name}/serviceAccounts/{email}",
                "projectId": self._project.name,
                "uniqueId": unique,
                "email": email,
                "displayName": display_name,
                "description": description,
                "oauth2ClientId": unique,
            }
        return self._shown(email)

    def check_act_as(self, email: str) -> None:
        """Refuse a caller who may not have something run as this account; and an account that there is not."""
        if email not in self._accounts:
            raise not_found(f"Service account {email} does not exist.")
        self._project.check(self._project.name, "iam.serviceAccounts.actAs", self._accounts[email]["name"])

    def to_state(self) -> Document:
        """Give what must outlive the daemon."""
        return self._accounts

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._accounts = dict(state)

    def _list(self, call: Call) -> Document:
        self._project.check(call["project"], "iam.serviceAccounts.list")
        return page("accounts", [self._shown(email) for email in sorted(self._accounts)], call.query, size=100)

    def _create(self, call: Call) -> Document:
        self._project.check(call["project"], "iam.serviceAccounts.create")
        name = str(call.body.get("accountId") or "")
        if not _ID.fullmatch(name):
            raise invalid(
                f'Invalid service account id "{name}": it must be 6 to 30 lower-case letters, digits and dashes, '
                "and begin with a letter."
            )
        email = f"{name}@{self._project.name}.iam.gserviceaccount.com"
        if email in self._accounts:
            raise GoogleError(
                "ALREADY_EXISTS",
                f"Service account {name} already exists within project projects/{self._project.name}.",
            )
        wanted = call.body.get("serviceAccount") or {}
        return self.add(email, str(wanted.get("displayName") or ""), str(wanted.get("description") or ""))

    def _get(self, call: Call) -> Document:
        return self._shown(self._asked(call, "iam.serviceAccounts.get"))

    def _patch(self, call: Call) -> Document:
        email = self._asked(call, "iam.serviceAccounts.update")
        wanted = call.body.get("serviceAccount") or {}
        for field in {"displayName", "description"} & set(masked(call.body.get("updateMask"), wanted)):
            self._accounts[email][field] = str(wanted.get(field) or "")
        return self._shown(email)

    def _delete(self, call: Call) -> Document:
        email = self._asked(call, "iam.serviceAccounts.delete")
        gone = self._accounts.pop(email)
        self._policies.drop(gone["name"])
        self._policies.rename(f"serviceAccount:{email}", f"deleted:serviceAccount:{email}?uid={gone['uniqueId']}")
        return {}

    def _enable(self, call: Call) -> Document:
        self._accounts[self._asked(call, "iam.serviceAccounts.enable")].pop("disabled", None)
        return {}

    def _disable(self, call: Call) -> Document:
        self._accounts[self._asked(call, "iam.serviceAccounts.disable")]["disabled"] = True
        return {}

    def _policy(self, call: Call) -> Document:
        email = self._asked(call, "iam.serviceAccounts.getIamPolicy")
        return self._policies.get(self._accounts[email]["name"], asked_version(call))

    def _set_policy(self, call: Call) -> Document:
        email = self._asked(call, "iam.serviceAccounts.setIamPolicy")
        return self._policies.set(self._accounts[email]["name"], call.body)

    def _granted(self, call: Call) -> Document:
        email = self._find(call)
        return granted(self._project, self._policies, call, self._accounts[email]["name"])

    def _token(self, call: Call) -> Document:
        email = self._asked(call, "iam.serviceAccounts.getAccessToken")
        if self._accounts[email].get("disabled"):
            raise GoogleError("FAILED_PRECONDITION", f"Service account {email} is disabled.")
        if not call.body.get("scope"):
            raise invalid("Scope must be set.")
        asked = str(call.body.get("lifetime") or f"{_LONGEST_TOKEN_SECONDS}s").removesuffix("s")
        if not asked.isdigit() or not 0 < int(asked) <= _LONGEST_TOKEN_SECONDS:
            raise invalid("The lifetime must be between 1s and 3600s.")
        end = self._clock.now() + timedelta(seconds=int(asked))
        return {"accessToken": self._issue(email, float(asked)), "expireTime": rfc3339(end)}

    def _asked(self, call: Call, permission: str) -> str:
        """Give the account that a call names, if the caller may do this with it."""
        project = self._project.name if call["project"] == "-" else call["project"]
        email = next((each for each in self._accounts if self._is(each, call["account"])), call["account"])
        self._project.check(project, permission, f"projects/{self._project.name}/serviceAccounts/{email}")
        return self._find(call)

    def _find(self, call: Call) -> str:
        for email in self._accounts:
            if self._is(email, call["account"]):
                return email
        raise not_found("Unknown service account")

    def _is(self, email: str, asked: str) -> bool:
        return asked in (email, self._accounts[email]["uniqueId"])

    def _shown(self, email: str) -> Document:
        plain = {key: value for key, value in self._accounts[email].items() if value != ""}
        return plain | {"etag": etag_of(plain)}
