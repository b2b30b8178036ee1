"""One watch per cluster that all controllers share, with indexes, so that a reconcile never scans a whole cluster.

The index says where to look, the store says what is there: an index holds references only, and every read takes the
present object from the store. So a reconcile never acts on an old version of an object, and a controller's own
creations are indexed at once (`create`), which is what keeps a ReplicaSet from creating a Pod twice. What others create
shows up with its watch event, which also enqueues the key it matters to.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, TypeAlias

from controlplane.localcloud.apiserver.api import Api, ApiError, Change, Object
from controlplane.localcloud.controllers.catalogue import CRDS, Catalogue, custom_kind, is_established
from controlplane.localcloud.controllers.objects import labels_of, owners_of
from controlplane.localcloud.controllers.selectors import matches

# (resource, namespace, name)
Ref: TypeAlias = tuple[str, str, str]
# Under what a reference is filed: ("owner", uid), ("node", name), ("label", namespace, name, value) or
# ("namespace", name, resource).
IndexKey: TypeAlias = tuple[str, ...]

_BY_LABEL = frozenset({"pods", "replicasets.apps", "endpointslices.discovery.k8s.io"})


class Informer:
    """The shared view of one cluster."""

    def __init__(self, api: Api, catalogue: Catalogue, *, untracked: frozenset[str] = frozenset()) -> None:
        self.api = api
        self.catalogue = catalogue
        self._untracked = untracked
        self._filed: dict[IndexKey, dict[Ref, None]] = {}
        self._keys: dict[Ref, tuple[IndexKey, ...]] = {}
        self._listeners: list[tuple[frozenset[str] | None, asyncio.Queue[Change]]] = []
        self._custom: dict[str, asyncio.Task[None]] = {}
        self._seeded = False

    async def run(self) -> None:
        """Keep the indexes true and pass every change on, until cancelled.

        A watch that breaks ends this; run again, it passes everything present on anew, which is enough for controllers
        that look at what is there.
        """
        self._seed()
        for ref in [ref for ref in self._keys if self.get(ref) is None]:
            self._unfile(ref)
        try:
            async for change in self.api.watch(*self._tracked()):
                self._take(change)
                if change.resource == CRDS:
                    self._follow(change)
        finally:
            for task in self._custom.values():
                task.cancel()
            self._custom.clear()

    async def watch(self, *resources: str) -> AsyncIterator[Change]:
        """Give what is there as ADDED and then every change; no resources named means all that are tracked."""
        self._seed()
        wanted = frozenset(resources) or None
        queue: asyncio.Queue[Change] = asyncio.Queue()
        listener = (wanted, queue)
        for ref in self._keys:
            if (wanted is None or ref[0] in wanted) and (present := self.get(ref)) is not None:
                queue.put_nowait(Change("ADDED", ref[0], present))
        self._listeners.append(listener)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(listener)

    def get(self, ref: Ref) -> Object | None:
        """Give the present object, if it is still there."""
        resource, namespace, name = ref
        try:
            return self.api.find(resource, name, namespace or None)
        except ApiError:
            return None  # its kind is no longer served

    def owned(self, resource: str, uid: str) -> list[Object]:
        """Give the objects of this resource that name this owner."""
        return [
            obj
            for obj in self._present(("owner", uid), resource)
            if any(owner.get("uid") == uid for owner in owners_of(obj))
        ]

    def dependents(self, uid: str) -> list[tuple[Ref, Object]]:
        """Give every object, of any resource, that names this owner."""
        found = [(ref, self.get(ref)) for ref in list(self._filed.get(("owner", uid), ()))]
        return [(ref, obj) for ref, obj in found if obj and any(o.get("uid") == uid for o in owners_of(obj))]

    def on_node(self, node: str) -> list[Object]:
        """Give the Pods that are bound to this node."""
        return list(self._present(("node", node), "pods"))

    def in_namespace(self, namespace: str, resource: str) -> list[Object]:
        """Give the objects of one resource in a namespace."""
        return list(self._present(("namespace", namespace, resource), resource))

    def select(self, resource: str, namespace: str, selector: dict[str, Any]) -> list[Object]:
        """Give the Pods or ReplicaSets of a namespace that a label selector matches, oldest index entry first."""
        wanted = selector.get("matchLabels") or {}
        keys: list[IndexKey] = [("label", namespace, name, value) for name, value in wanted.items()]
        keys = keys or [("namespace", namespace, resource)]
        narrowest = min(keys, key=lambda key: len(self._filed.get(key, ())))
        return [obj for obj in self._present(narrowest, resource) if matches(selector, labels_of(obj))]

    def create(self, resource: str, body: Object, namespace: str | None = None) -> Object:
        """Create an object and file it at once, ahead of its watch event."""
        created = self.api.create(resource, body, namespace)
        meta = created["metadata"]
        self._file((resource, meta.get("namespace", ""), meta["name"]), created)
        return created

    def _present(self, key: IndexKey, resource: str) -> Iterator[Object]:
        for ref in [ref for ref in self._filed.get(key, ()) if ref[0] == resource]:
            obj = self.get(ref)
            if obj is not None:
                yield obj

    def _tracked(self) -> tuple[str, ...]:
        return tuple(name for name in self.catalogue.resources() if name not in self._untracked)

    def _seed(self) -> None:
        if self._seeded:
            return
        self._seeded = True
        for resource in self._tracked():
            self._seed_resource(resource)

    def _seed_resource(self, resource: str) -> None:
        for obj in self.api.list(resource):
            meta = obj["metadata"]
            self._file((resource, meta.get("namespace", ""), meta["name"]), obj)

    def _take(self, change: Change) -> None:
        ref = _ref(change)
        if change.type == "DELETED":
            self._unfile(ref)
        present = self.get(ref)
        if present is not None:
            self._file(ref, present)  # also after DELETED: the name may have been taken again by now
        for wanted, queue in self._listeners:
            if wanted is None or change.resource in wanted:
                queue.put_nowait(change)

    def _file(self, ref: Ref, obj: Object) -> None:
        keys = tuple(_index_keys(ref, obj))
        if self._keys.get(ref) == keys:
            return
        self._unfile(ref)
        self._keys[ref] = keys
        for key in keys:
            self._filed.setdefault(key, {})[ref] = None

    def _unfile(self, ref: Ref) -> None:
        for key in self._keys.pop(ref, ()):
            entries = self._filed.get(key)
            if entries is not None:
                entries.pop(ref, None)
                if not entries:
                    del self._filed[key]

    def _follow(self, change: Change) -> None:
        """Begin following the objects of a custom kind; once known it stays known, to collect what it leaves behind."""
        kind = custom_kind(change.object)
        if change.type != "DELETED" and is_established(change.object):
            self.catalogue.add(kind)
            task = self._custom.get(kind.resource)
            if task is not None and not task.done():
                return
            self._custom[kind.resource] = asyncio.get_running_loop().create_task(self._follow_custom(kind.resource))

    async def _follow_custom(self, resource: str) -> None:
        with contextlib.suppress(ApiError):
            async for change in self.api.watch(resource):
                self._take(change)


def _ref(change: Change) -> Ref:
    meta = change.object["metadata"]
    return change.resource, meta.get("namespace", ""), meta["name"]


def _index_keys(ref: Ref, obj: Object) -> Iterable[IndexKey]:
    resource, namespace, _ = ref
    if namespace:
        yield ("namespace", namespace, resource)
    for owner in owners_of(obj):
        yield ("owner", str(owner.get("uid")))
    if resource in _BY_LABEL:
        for name, value in labels_of(obj).items():
            yield ("label", namespace, name, value)
    if resource == "pods" and (node := obj.get("spec", {}).get("nodeName")):
        yield ("node", node)
