"""Which resources are served, in which versions, and where their objects are stored.

Built-in types are fixed; custom ones come and go with their definitions. One resource may be served in several
versions, which share their stored objects: custom resources exchange the apiVersion alone, Events are translated.
"""

from collections.abc import Iterable

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.errors import no_such_path
from controlplane.localcloud.apiserver.schema import TypeInfo, builtin_types

EVENTS = "events.events.k8s.io"
_RENAMED = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("reportingComponent", "reportingController"),
)


class Registry:
    """The served types, found by path and by resource name."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str, str], TypeInfo] = {}
        self._stored: dict[str, TypeInfo] = {}
        self.generation = 0  # grows with every change, for those who cache what they derive
        for info in builtin_types():
            self._add(info)

    def _add(self, info: TypeInfo) -> None:
        self._served[info.group, info.version, info.plural] = info
        if info.storage:
            self._stored[info.resource] = info

    def add(self, infos: Iterable[TypeInfo]) -> None:
        """Serve a custom resource's versions."""
        for info in infos:
            self._add(info)
        self.generation += 1

    def remove(self, resource: str) -> None:
        """Serve a custom resource no more."""
        self._served = {key: info for key, info in self._served.items() if info.resource != resource}
        self._stored.pop(resource, None)
        self.generation += 1

    def by_path(self, group: str, version: str, plural: str) -> TypeInfo:
        """Find what a path names; 404 where nothing is served."""
        info = self._served.get((group, version, plural))
        if info is None:
            raise no_such_path()
        return info

    def by_resource(self, resource: str) -> TypeInfo:
        """Find the stored version of a resource (`plural.group`)."""
        info = self._stored.get(resource)
        if info is None:
            raise ApiError(404, "NotFound", f'the server doesn\'t have a resource type "{resource}"', details={})
        return info

    def types(self) -> list[TypeInfo]:
        """Give every served version of every resource."""
        return list(self._served.values())


def shelf_name(info: TypeInfo) -> str:
    """Name the shelf that holds a resource's objects: both APIs of Events share one."""
    return "events" if info.resource == EVENTS else info.resource


def is_stored_form(info: TypeInfo) -> bool:
    """Say whether objects are served exactly as they are stored."""
    return info.storage and info.resource != EVENTS


def to_served(info: TypeInfo, obj: Object) -> Object:
    """Give a stored object in the version of this type; the given one is not changed."""
    if info.resource != EVENTS:
        return {**obj, "apiVersion": info.api_version}
    served = {key: value for key, value in obj.items() if key not in dict(_RENAMED)}
    served |= {new: obj[old] for old, new in _RENAMED if old in obj}
    return {**served, "apiVersion": info.api_version}


def to_stored(info: TypeInfo, stored: TypeInfo, obj: Object) -> Object:
    """Give a served object in the stored version; the given one is not changed."""
    if info.resource != EVENTS:
        return {**obj, "apiVersion": stored.api_version}
    result = {key: value for key, value in obj.items() if key not in {new for _, new in _RENAMED}}
    result |= {old: obj[new] for old, new in _RENAMED if new in obj}
    return {**result, "apiVersion": "v1"}
