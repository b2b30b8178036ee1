"""IAM policies: who has which role on what, with etags; and the question whether somebody may do something.

A policy stands on the project, a service account, a repository or a Cloud Run job. Google adds up what the resource's
own policy and the project's grant, and so does this.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controlplane.localcloud.gcp.admin.calls import Document, check_etag
from controlplane.localcloud.gcp.admin.permissions import PREDEFINED, granted_by
from controlplane.localcloud.gcp.callers import ANONYMOUS
from controlplane.localcloud.gcp.errors import GoogleError, invalid

_MEMBER = re.compile(
    r"(?P<kind>user|group|serviceAccount|domain|principal|principalSet|deleted|projectOwner|projectEditor"
    r"|projectViewer):(?P<id>\S+)"
)
_PUBLIC = ("allUsers", "allAuthenticatedUsers")
_MOST_MEMBERS = 1500


def etag_of(content: object) -> str:
    """Give an etag as Google's look, the same for the same content."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    return base64.b64encode(b"\x07\x06" + digest[:6]).decode()


class Policies:
    """All policies, by the name of what they stand on (`projects/P`, `projects/P/serviceAccounts/EMAIL` ...)."""

    def __init__(self, project: str, *, account_exists: Callable[[str], bool], custom: Callable[[str], Any]) -> None:
        self._project = project
        self._account_exists = account_exists
        # Gives a custom role's permissions by its full name; None where there is none, or where it was deleted.
        self._custom = custom
        self._policies: dict[str, Document] = {}

    def get(self, resource: str, version: int = 1) -> Document:
        """Answer getIamPolicy."""
        if version not in (0, 1, 2, 3):
            raise invalid("Requested policy version is not valid.")
        policy = self._policies.get(resource, {})
        bindings = policy.get("bindings", [])
        answer: Document = {"version": 1, "etag": policy.get("etag") or "ACAB"}
        if bindings:
            answer["bindings"] = [{"role": each["role"], "members": list(each["members"])} for each in bindings]
        return answer

    def set(self, resource: str, body: Mapping[str, Any]) -> Document:
        """Answer setIamPolicy: the whole policy is replaced, if it is still the one that was read."""
        wanted = body.get("policy")
        if not isinstance(wanted, Mapping):
            raise invalid("Policy must be set.")
        check_etag(self.get(resource)["etag"], wanted.get("etag"))
        bindings = _merged(self._checked(each) for each in wanted.get("bindings") or ())
        if resource == f"projects/{self._project}" and not _has_owner(bindings):
            raise invalid("Policy must contain at least one owner.")
        self.put(resource, bindings)
        return self.get(resource)

    def put(self, resource: str, bindings: Iterable[Mapping[str, Any]]) -> None:
        """Have these bindings stand."""
        kept = [{"role": each["role"], "members": sorted(each["members"])} for each in bindings if each["members"]]
        kept.sort(key=lambda each: str(each["role"]))
        count = self._policies.get(resource, {}).get("count", 0) + 1
        self._policies[resource] = {"bindings": kept, "count": count, "etag": etag_of([resource, kept, count])}

    def drop(self, resource: str) -> None:
        """Forget the policy of something that is gone."""
        self._policies.pop(resource, None)

    def rename(self, old: str, new: str) -> None:
        """Put another member in one's place everywhere: a deleted account stays in policies, marked as such."""
        for resource, policy in list(self._policies.items()):
            bindings = policy["bindings"]
            if any(old in each["members"] for each in bindings):
                self.put(
                    resource,
                    [{**each, "members": [new if m == old else m for m in each["members"]]} for each in bindings],
                )

    def allows(self, account: str, permission: str, resource: str = "") -> bool:
        """Say whether an account has a permission on the project, or on one resource of it.

        A name that is no service account's is a person at this machine, who owns the project.
        """
        if account != ANONYMOUS and not account.endswith(".gserviceaccount.com"):
            return True
        members = (ANONYMOUS,) if account == ANONYMOUS else (f"serviceAccount:{account}", *_PUBLIC)
        return any(
            any(member in each["members"] for member in members) and permission in self._permissions(each["role"])
            for name in {f"projects/{self._project}", resource}
            for each in self._policies.get(name, {}).get("bindings", ())
        )

    def to_state(self) -> Document:
        """Give what must outlive the daemon."""
        return self._policies

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._policies = dict(state)

    def _permissions(self, role: str) -> Iterable[str]:
        return granted_by(role) or self._custom(role) or ()

    def _checked(self, binding: Mapping[str, Any]) -> Document:
        role, members = str(binding.get("role") or ""), list(binding.get("members") or ())
        if binding.get("condition"):
            raise GoogleError("UNIMPLEMENTED", "The local cloud does not evaluate conditions of IAM policies.")
        if role not in PREDEFINED and self._custom(role) is None:
            if role.startswith("roles/"):
                raise invalid(f"Role {role} is not supported for this resource.")
            raise invalid(f"Role ({role}) does not exist in the resource's hierarchy.")
        if len(members) > _MOST_MEMBERS:
            raise invalid(f"The number of members in the policy exceeds the maximum of {_MOST_MEMBERS}.")
        for member in members:
            self._check_member(str(member))
        return {"role": role, "members": members}

    def _check_member(self, member: str) -> None:
        if member in _PUBLIC:
            return
        match = _MEMBER.fullmatch(member)
        if match is None:
            raise invalid(f"The member {member} is of an unknown type. Please set a valid type prefix for the member.")
        name = match["id"]
        ours = name.endswith(f"@{self._project}.iam.gserviceaccount.com")
        if match["kind"] == "serviceAccount" and ours and not self._account_exists(name):
            raise invalid(f"Service account {name} does not exist.")
        if match["kind"] == "user" and "@" not in name:
            raise invalid(f"User {name} does not exist.")


def _merged(bindings: Iterable[Document]) -> list[Document]:
    """Join bindings of one role."""
    by_role: dict[str, set[str]] = {}
    for each in bindings:
        by_role.setdefault(each["role"], set()).update(each["members"])
    return [{"role": role, "members": sorted(members)} for role, members in by_role.items()]


def _has_owner(bindings: Iterable[Document]) -> bool:
    return any(each["role"] == "roles/owner" and each["members"] for each in bindings)
