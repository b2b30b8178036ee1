"""Enabled APIs, and resources of administration APIs that are read, created, changed and deleted by path."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from controlplane.bootstrap.values import Apis, Json, Operation, Part, Rest, Seen, State, differing, thing
from controlplane.gateways.errors import Conflict, Gone

if TYPE_CHECKING:
    from controlplane.gateways.administration import Administration

_USAGE = "serviceusage"
_AT_ONCE = 20
"""How many APIs one call enables at most."""


class EnabledApis:
    """The APIs of the project. They stay enabled at the end: that costs nothing, and others may use them."""

    def __init__(self, rest: "Administration") -> None:
        self._rest = rest

    def look(self, part: Part) -> Seen:
        """Compare with what is enabled."""
        missing = self._missing(thing(part, Apis))
        if not missing:
            return Seen(State.PRESENT)
        state = State.DIFFERS if len(missing) < len(thing(part, Apis).names) else State.ABSENT
        return Seen(state, f"not enabled: {', '.join(name.partition('.')[0] for name in missing)}")

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Enable those that are missing."""
        del seen
        missing = self._missing(thing(part, Apis))[:_AT_ONCE]
        path = f"/v1/projects/{thing(part, Apis).project}/services:batchEnable"
        return operation_of(_USAGE, "/v1/", self._rest.write(_USAGE, "POST", path, {"serviceIds": missing}))

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Do nothing: they are kept."""
        del part, seen
        return None

    def _missing(self, apis: Apis) -> list[str]:
        path = f"/v1/projects/{apis.project}/services?filter=state%3AENABLED&pageSize=200"
        enabled = {str(each.get("name", "")).rpartition("/")[2] for each in self._rest.pages(_USAGE, path, "services")}
        return [name for name in apis.names if name not in enabled]


class Resources:
    """Everything that a `Rest` describes."""

    def __init__(self, rest: "Administration") -> None:
        self._rest = rest

    def look(self, part: Part) -> Seen:
        """Read it: whose is it, and does it hold what is wanted."""
        wanted = thing(part, Rest)
        found = self._rest.get(wanted.api, wanted.path)
        if found is None or found.get("deleted") is True:
            return Seen(State.ABSENT, found=found or {})
        if not str(_inner(found, wanted.mark[0])).startswith(wanted.mark[1]):
            what = f"something of that name is there already, and its {wanted.mark[0]} is not {wanted.mark[1]!r}"
            return Seen(State.TAKEN, what, found, _hand_over(wanted))
        if fields := differing(wanted.wanted, found):
            return Seen(State.DIFFERS, f"another {', '.join(fields)}", found)
        return Seen(State.PRESENT, found=found)

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Create it, bring it back where it was deleted softly, or change it."""
        wanted = thing(part, Rest)
        if seen.state is State.DIFFERS and wanted.update is not None:
            return self._call(wanted, wanted.update)
        if seen.found.get("deleted") is True and wanted.undelete is not None:
            self._call(wanted, wanted.undelete)
            return self._call(wanted, wanted.update) if wanted.update is not None else None
        return self._call(wanted, wanted.create)

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Delete it, under the etag that was seen where it has one and its API takes one."""
        del seen
        wanted = thing(part, Rest)
        if wanted.emptied:
            for each in self._rest.pages(wanted.api, wanted.emptied, "items"):
                self._delete(wanted, f"{wanted.emptied}/{quote(str(each['name']), safe='')}")
        return self._delete(wanted, wanted.path)

    def _delete(self, wanted: Rest, path: str) -> Operation | None:
        try:
            return operation_of(wanted.api, wanted.operations, self._rest.write(wanted.api, "DELETE", path))
        except Gone:
            return None

    def _call(self, wanted: Rest, call: Any) -> Operation | None:
        answer = self._rest.write(wanted.api, call.method, call.path, call.body)
        return operation_of(wanted.api, wanted.operations, answer)


def operation_of(api: str, prefix: str, answer: Json) -> Operation | None:
    """Give the operation that an answer names, if it is one and not done yet.

    Raises what a failed one says: an API may answer with an operation that failed at once.
    """
    name = str(answer.get("name", ""))
    if "operations/" not in name or name.endswith("DONE_OPERATION"):
        return None
    error = answer.get("error")
    if isinstance(error, Mapping):
        raise Conflict(str(error.get("message", "the operation failed at once")))
    return None if answer.get("done") else Operation(api, f"{prefix}{name}")


def _hand_over(wanted: Rest) -> str:
    return f"remove it, or hand it over: give it the {wanted.mark[0]} {wanted.mark[1]!r}"


def _inner(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, Mapping) else ""
    return value
