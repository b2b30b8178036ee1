"""The API as controllers in this process call it: the same core as over HTTP, without serialising anything."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

from controlplane.localcloud.apiserver.api import Api, Change, Object, PatchKind
from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.errors import not_found
from controlplane.localcloud.apiserver.options import CONTROLLER, DeleteOptions, WriteOptions
from controlplane.localcloud.apiserver.reads import Filter
from controlplane.localcloud.apiserver.registry import shelf_name


class LocalApi:
    """Implements `Api` over one cluster's core."""

    def __init__(self, cluster: str, core: Core) -> None:
        self._cluster = cluster
        self._core = core

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self._cluster

    def get(self, resource: str, name: str, namespace: str | None = None) -> Object:
        """Give one object."""
        found = self.find(resource, name, namespace)
        if found is None:
            raise not_found(resource, name)
        return found

    def find(self, resource: str, name: str, namespace: str | None = None) -> Object | None:
        """Give one object, or None where there is none."""
        info = self._core.registry.by_resource(resource)
        record = self._core.store.find(shelf_name(info), (namespace or "" if info.namespaced else "", name))
        return record.object if record else None

    def list(
        self, resource: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Object]:
        """Give all objects that match, ordered by namespace and name."""
        info = self._core.registry.by_resource(resource)
        wanted = Filter(resource, None, label_selector, field_selector)
        records = self._core.store.objects(shelf_name(info), namespace if info.namespaced else None)
        return [record.object for record in records if not wanted.selects or wanted.accepts(record)]

    def create(self, resource: str, body: Object, namespace: str | None = None, *, user: str = CONTROLLER) -> Object:
        """Create an object, or post to a subresource (`pods/eviction`, `pods/binding`)."""
        base, _, subresource = resource.partition("/")
        base, _, group = base.partition(".")
        if "." in subresource:
            subresource, _, group = subresource.partition(".")
        info = self._core.registry.by_resource(f"{base}.{group}" if group else base)
        where = namespace or (body.get("metadata") or {}).get("namespace") or ""
        options = WriteOptions(user=user, manager=user, keeps_status=True)
        if subresource:
            name = (body.get("metadata") or {}).get("name") or ""
            return self._core.subresources.create(info, where, name, subresource, body, options=options)
        return self._core.writes.create(info, where if info.namespaced else "", body, options).object

    def update(self, resource: str, body: Object, *, subresource: str = "", user: str = CONTROLLER) -> Object:
        """Replace; a resourceVersion in the body is the precondition."""
        info = self._core.registry.by_resource(resource)
        metadata = body["metadata"]
        options = WriteOptions(user=user, manager=user)
        namespace = metadata.get("namespace", "") if info.namespaced else ""
        if subresource == "scale":
            return self._core.subresources.update_scale(info, namespace, metadata["name"], body, options)
        return self._core.writes.update(
            info, namespace, metadata["name"], body, options=options, subresource=subresource
        )[0].object

    def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        kind: PatchKind = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
        user: str = CONTROLLER,
    ) -> Object:
        """Patch in one of the four ways."""
        info = self._core.registry.by_resource(resource)
        where = namespace or "" if info.namespaced else ""
        options = WriteOptions(user=user, manager=field_manager or user, force=force)
        if subresource == "scale":
            return self._core.subresources.patch_scale(info, where, name, kind, patch, options=options)
        return self._core.writes.patch(info, where, name, kind, patch, options=options, subresource=subresource)[
            0
        ].object

    def delete(
        self,
        resource: str,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        user: str = CONTROLLER,
    ) -> Object:
        """Delete, or begin to: finalizers, a Pod's grace and foreground deletion leave a deletionTimestamp."""
        info = self._core.registry.by_resource(resource)
        options = DeleteOptions(user, propagation, grace_seconds, uid, resource_version)
        where = namespace or "" if info.namespaced else ""
        return self._core.deletion.delete(info, where, name, options)[0].object

    async def watch(self, *resources: str) -> AsyncIterator[Change]:
        """Give every present object as ADDED, then every change, in order, for ever.

        A resource that is not served yet (a definition that comes later) is watched all the same.
        """
        shelves = [self._core.store.shelf(resource) for resource in resources]
        wake = asyncio.Event()
        unsubscribe = [shelf.subscribe(wake) for shelf in shelves]
        try:
            position = self._core.store.rv
            for record in sorted(
                (one for shelf in shelves for one in shelf.records.items()), key=lambda one: one[1].rv
            ):
                resource = next(shelf.resource for shelf in shelves if shelf.records.get(record[0]) is record[1])
                yield Change("ADDED", resource, record[1].object)
            while True:
                wake.clear()
                events = [(event, shelf.resource) for shelf in shelves for event in shelf.since(position)]
                position = max([position, *(event.rv for event, _ in events)])
                for event, resource in sorted(events, key=lambda one: one[0].rv):
                    yield Change(event.type, resource, event.record.object)
                if not events:
                    await wake.wait()
        finally:
            for stop in unsubscribe:
                stop()


def as_api(api: LocalApi) -> Api:
    """Hold the class to the protocol."""
    return api
