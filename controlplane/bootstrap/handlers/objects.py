"""Objects in clusters: definitions, rights, the Fleet. Server-side apply makes and mends them alike."""

from collections.abc import Callable
from typing import Any

from controlplane.bootstrap.ports import ClusterApi
from controlplane.bootstrap.values import Json, Objects, Operation, Part, Seen, State, same, thing
from controlplane.gateways.resources import resource_of
from controlplane.model.offering import ClusterRef


class ClusterObjects:
    """Everything that an `Objects` lists. It goes with its cluster."""

    def __init__(self, connect: Callable[[ClusterRef], ClusterApi]) -> None:
        self._connect = connect

    def look(self, part: Part) -> Seen:
        """Read each object, and compare."""
        wanted = thing(part, Objects)
        api = self._connect(wanted.ref)
        found = {_named(each): api.get(resource_of(each), each["metadata"]["name"]) for each in wanted.manifests}
        absent = [name for name, each in found.items() if each is None]
        if len(absent) == len(found):
            return Seen(State.ABSENT)
        if absent:
            return Seen(State.DIFFERS, f"missing: {', '.join(absent)}")
        other = [_named(each) for each in wanted.manifests if not _stands(each, found[_named(each)] or {})]
        if other:
            return Seen(State.DIFFERS, f"other than wanted: {', '.join(other)}")
        unserved = [name for name, each in found.items() if not _established(each or {})]
        return Seen(State.GOING, f"not served yet: {', '.join(unserved)}") if unserved else Seen(State.PRESENT)

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Apply those that are not as wanted, in their order."""
        del seen
        wanted = thing(part, Objects)
        api = self._connect(wanted.ref)
        for each in wanted.manifests:
            found = api.get(resource_of(each), each["metadata"]["name"])
            if found is None or not _stands(each, found):
                api.apply(each)
        return None

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Do nothing: they go with their cluster."""
        del part, seen
        return None


def _stands(wanted: Json, found: Json) -> bool:
    return all(same(value, found.get(key)) for key, value in wanted.items() if key not in ("metadata", "status"))


def _established(found: Json) -> bool:
    """Say whether the API server serves it: a definition that was just written it does not at once."""
    if found.get("kind") != "CustomResourceDefinition" and "names" not in (found.get("spec") or {}):
        return True
    conditions: list[Any] = (found.get("status") or {}).get("conditions") or []
    return any(each.get("type") == "Established" and each.get("status") == "True" for each in conditions)


def _named(manifest: Json) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"
