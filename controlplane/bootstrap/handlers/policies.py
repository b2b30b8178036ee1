"""Bindings in IAM policies: one member in one role, all else in the policy left as it is.

A policy is read, changed and written back whole under the etag that it was read with; when somebody else was faster, it
is read again. Bindings with a condition are not ours and are never touched.
Source: https://cloud.google.com/iam/docs/allow-policies.
"""

from copy import deepcopy
from typing import TYPE_CHECKING

from controlplane.bootstrap.values import Binding, Json, Operation, Part, Seen, State, thing
from controlplane.gateways.errors import Conflict, Gone

if TYPE_CHECKING:
    from controlplane.gateways.administration import Administration

_ATTEMPTS = 4


class Bindings:
    """Everything that a `Binding` describes."""

    def __init__(self, rest: "Administration") -> None:
        self._rest = rest

    def look(self, part: Part) -> Seen:
        """Read the policy."""
        wanted = thing(part, Binding)
        policy = self._policy(wanted)
        held = policy is not None and wanted.member in _members(policy, wanted.role)
        return Seen(State.PRESENT if held else State.ABSENT)

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Add the member."""
        del seen
        self._change(thing(part, Binding), add=True)
        return None

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Take the member out."""
        del seen
        self._change(thing(part, Binding), add=False)
        return None

    def _change(self, wanted: Binding, *, add: bool) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            policy = self._policy(wanted)
            if policy is None:
                if add:
                    raise Gone(f"{wanted.subject} is not there")
                return
            changed = with_member(policy, wanted.role, wanted.member, add=add)
            body = changed if wanted.write.method == "PUT" else {"policy": changed}
            try:
                self._rest.write(wanted.api, wanted.write.method, wanted.write.path, body)
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    def _policy(self, wanted: Binding) -> Json | None:
        return self._rest.read(wanted.api, wanted.read.method, wanted.read.path, wanted.read.body)


def with_member(policy: Json, role: str, member: str, *, add: bool) -> Json:
    """Give the policy with the member in the role, or without it; a binding that nobody is left in goes."""
    changed = deepcopy(policy)
    bindings: list[Json] = changed.setdefault("bindings", [])
    own = next((each for each in bindings if each.get("role") == role and not each.get("condition")), None)
    if add and own is None:
        bindings.append({"role": role, "members": [member]})
    elif add and own is not None and member not in own.get("members", []):
        own["members"] = [*own.get("members", []), member]
    elif not add and own is not None:
        own["members"] = [each for each in own.get("members", []) if each != member]
        if not own["members"]:
            bindings.remove(own)
    return changed


def _members(policy: Json, role: str) -> set[str]:
    unconditional = (each for each in policy.get("bindings") or () if not each.get("condition"))
    return {str(member) for each in unconditional if each.get("role") == role for member in each.get("members") or ()}
