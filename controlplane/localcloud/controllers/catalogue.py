"""Which kinds there are and under which resource name each is kept; the garbage collector follows references by kind.

The built-in kinds come from the API server's own type table, so that there is one list; custom ones come and go with
their CustomResourceDefinitions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.types import TypeInfo

CRDS = "customresourcedefinitions.apiextensions.k8s.io"

# Kinds that never own and are never owned, and change too often to be followed for nothing.
UNTRACKED = frozenset({"events", "events.events.k8s.io"})


@dataclass(frozen=True, slots=True)
class Tracked:
    """One stored kind."""

    resource: str
    group: str
    kind: str
    namespaced: bool


class Catalogue:
    """The kinds of one cluster."""

    def __init__(self, builtin: tuple[Tracked, ...]) -> None:
        self._by_kind = {(kind.group, kind.kind): kind for kind in builtin}
        self._by_resource = {kind.resource: kind for kind in builtin}

    def add(self, kind: Tracked) -> None:
        """Learn a custom kind."""
        self._by_kind[kind.group, kind.kind] = kind
        self._by_resource[kind.resource] = kind

    def resource_for(self, api_version: str, kind: str) -> Tracked | None:
        """Find the kind that an owner reference names, whatever the version in it."""
        group = api_version.rpartition("/")[0]
        return self._by_kind.get((group, kind))

    def get(self, resource: str) -> Tracked | None:
        """Find a kind by its resource name."""
        return self._by_resource.get(resource)

    def resources(self) -> tuple[str, ...]:
        """Give every resource name."""
        return tuple(self._by_resource)

    def namespaced(self) -> tuple[str, ...]:
        """Give the resources whose objects live in namespaces."""
        return tuple(name for name, kind in self._by_resource.items() if kind.namespaced)


def builtin_kinds(types: Iterable[TypeInfo]) -> tuple[Tracked, ...]:
    """Give the kinds that can be listed and watched, each once."""
    return tuple(Tracked(t.resource, t.group, t.kind, t.namespaced) for t in types if "watch" in t.verbs)


def custom_kind(crd: Object) -> Tracked:
    """Give the kind that a CustomResourceDefinition defines."""
    spec = crd["spec"]
    names = spec["names"]
    return Tracked(
        f"{names['plural']}.{spec['group']}", spec["group"], names["kind"], spec.get("scope") == "Namespaced"
    )


def is_established(crd: Object) -> bool:
    """Say whether the API server serves the definition's kind by now."""
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)
