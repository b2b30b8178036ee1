"""The garbage collector: what becomes of objects whose owners go.

Background: an object whose owners are all gone goes too. Foreground: an owner with the finalizer `foregroundDeletion`
waits until the dependents that block it are gone. Orphan: an owner with the finalizer `orphan` first lets go of its
dependents. Whether an owner is gone is always asked of the store, never of an index.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from controlplane.localcloud.apiserver.api import ApiError, Change, Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.informer import Informer, Ref
from controlplane.localcloud.controllers.objects import is_deleting, owners_of, uid_of
from controlplane.localcloud.controllers.runtime import Controller, Key, KeysOf

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class EveryResource(Mapping[str, KeysOf]):
    """Sources of a controller that follows every resource there is, custom ones that come later included."""

    def __init__(self, keys_of: Callable[[Change], Iterable[Key]]) -> None:
        self._keys_of = keys_of

    def __getitem__(self, resource: str) -> KeysOf:
        return self._keys_of

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class GarbageCollector:
    """Follows owner references through all resources. Its keys are (resource, namespace/name)."""

    def __init__(self, informer: Informer, clock: Clock) -> None:
        self._informer = informer
        self._api = informer.api
        self.loop = Controller(
            "garbage", informer, clock, sources=EveryResource(self._keys_of), reconcile=self.reconcile
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    def _keys_of(self, change: Change) -> Iterable[Key]:
        obj = change.object
        keys: list[Key] = []
        if change.type == "DELETED":
            keys.extend(_key(ref) for ref, _ in self._informer.dependents(uid_of(obj)))
        elif owners_of(obj) or (is_deleting(obj) and _waits(obj)):
            meta = obj["metadata"]
            keys.append(_key((change.resource, meta.get("namespace", ""), meta["name"])))
        if change.type == "DELETED" or is_deleting(obj):
            # An owner that waits for its dependents may go on now.
            keys.extend(_key(ref) for owner in owners_of(obj) if (ref := self._owner_ref(obj, owner)) is not None)
        return keys

    async def reconcile(self, key: Key) -> None:
        """See to one object: as an owner that is going, and as a dependent of owners that went."""
        ref = _ref(key)
        obj = self._informer.get(ref)
        if obj is None:
            return
        if is_deleting(obj):
            finalizers = obj["metadata"].get("finalizers") or []
            if ORPHAN in finalizers:
                self._let_go(ref, obj)
            elif FOREGROUND in finalizers:
                self._take_along(ref, obj)
            return
        if owners_of(obj):
            self._check_owners(ref, obj)

    def _let_go(self, ref: Ref, owner: Object) -> None:
        for child, dependent in self._informer.dependents(uid_of(owner)):
            self._drop_owners(child, dependent, {uid_of(owner)})
        self._finish(ref, owner, ORPHAN)

    def _take_along(self, ref: Ref, owner: Object) -> None:
        dependents = self._informer.dependents(uid_of(owner))
        for child, dependent in dependents:
            if is_deleting(dependent):
                continue
            others = [o for o in owners_of(dependent) if o["uid"] != uid_of(owner)]
            if any(self._is_solid(dependent, other) for other in others):
                self._drop_owners(child, dependent, {uid_of(owner)})
            else:
                self._delete(child, dependent, foreground=self._has_dependents(dependent))
        if not any(_blocks(dependent, uid_of(owner)) for _, dependent in self._informer.dependents(uid_of(owner))):
            self._finish(ref, owner, FOREGROUND)

    def _check_owners(self, ref: Ref, obj: Object) -> None:
        """Delete the object once no owner is left; forget the owners that are gone while another is there."""
        states = [(owner, self._find_owner(obj, owner)) for owner in owners_of(obj)]
        if any(found is None for _, found in states):
            return  # of a kind this cluster does not know: not ours to judge
        gone = {owner["uid"] for owner, found in states if found is False}
        solid = [owner for owner, found in states if isinstance(found, dict) and not _awaits_dependents(found)]
        waiting = [owner for owner, found in states if isinstance(found, dict) and _awaits_dependents(found)]
        if solid:
            obsolete = gone | {owner["uid"] for owner in waiting}
            if obsolete:
                self._drop_owners(ref, obj, obsolete)
        elif waiting:
            self._delete(ref, obj, foreground=self._has_dependents(obj))
        else:
            self._delete(ref, obj, foreground=False)

    def _has_dependents(self, obj: Object) -> bool:
        return bool(self._informer.dependents(uid_of(obj)))

    def _is_solid(self, obj: Object, owner: Object) -> bool:
        found = self._find_owner(obj, owner)
        return found is None or (isinstance(found, dict) and not _awaits_dependents(found))

    def _find_owner(self, obj: Object, owner: Object) -> Object | bool | None:
        """Give the owner; False when it is gone; None when its kind is unknown here."""
        ref = self._owner_ref(obj, owner)
        if ref is None:
            return None
        found = self._informer.get(ref)
        return found if found is not None and uid_of(found) == owner["uid"] else False

    def _owner_ref(self, obj: Object, owner: Object) -> Ref | None:
        kind = self._informer.catalogue.resource_for(owner.get("apiVersion", ""), owner.get("kind", ""))
        if kind is None:
            return None
        return kind.resource, obj["metadata"].get("namespace", "") if kind.namespaced else "", owner["name"]

    def _delete(self, ref: Ref, obj: Object, *, foreground: bool) -> None:
        resource, namespace, name = ref
        try:
            self._api.delete(
                resource,
                name,
                namespace or None,
                propagation="Foreground" if foreground else "Background",
                uid=uid_of(obj),
            )
        except ApiError as error:
            if error.code != 404:
                raise

    def _drop_owners(self, ref: Ref, obj: Object, uids: set[str]) -> None:
        kept = [owner for owner in owners_of(obj) if owner["uid"] not in uids]
        self._patch_meta(ref, obj, {"ownerReferences": kept or None})

    def _finish(self, ref: Ref, obj: Object, finalizer: str) -> None:
        present = self._informer.get(ref)
        if present is None or uid_of(present) != uid_of(obj):
            return
        kept = [name for name in present["metadata"].get("finalizers") or [] if name != finalizer]
        self._patch_meta(ref, present, {"finalizers": kept or None})

    def _patch_meta(self, ref: Ref, obj: Object, fields: Object) -> None:
        resource, namespace, name = ref
        guard = {"uid": uid_of(obj), "resourceVersion": obj["metadata"].get("resourceVersion")}
        try:
            self._api.patch(resource, name, {"metadata": {**guard, **fields}}, namespace or None)
        except ApiError as error:
            if error.code != 404:
                raise


def _key(ref: Ref) -> Key:
    return ref[0], f"{ref[1]}/{ref[2]}"


def _ref(key: Key) -> Ref:
    namespace, _, name = key[1].partition("/")
    return key[0], namespace, name


def _waits(obj: Object) -> bool:
    finalizers = obj["metadata"].get("finalizers") or []
    return FOREGROUND in finalizers or ORPHAN in finalizers


def _awaits_dependents(obj: Object) -> bool:
    return is_deleting(obj) and FOREGROUND in (obj["metadata"].get("finalizers") or [])


def _blocks(dependent: Object, uid: str) -> bool:
    return any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners_of(dependent))
