"""Deleting: at once, after a Pod's grace, or once the finalizers are gone.

The server itself only marks and removes; the garbage collector and the namespace controller, like the kubelet, work
through the same API as everyone.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from controlplane.localcloud.apiserver.admission import PERMANENT_NAMESPACES, Admission
from controlplane.localcloud.apiserver.api import AdmissionRequest, ApiError, Object
from controlplane.localcloud.apiserver.errors import conflict, forbidden, not_found
from controlplane.localcloud.apiserver.options import DeleteOptions
from controlplane.localcloud.apiserver.records import Record
from controlplane.localcloud.apiserver.registry import shelf_name
from controlplane.localcloud.apiserver.schema import TypeInfo
from controlplane.localcloud.apiserver.store import Store
from controlplane.localcloud.apiserver.strategy import has_generation, orphans_by_default
from controlplane.localcloud.apiserver.writes import Writes, is_released
from controlplane.localcloud.clock import Clock, rfc3339

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_DEFAULT_GRACE = 30


class Deletion:
    """Everything that takes objects away."""

    def __init__(self, store: Store, writes: Writes, admission: Admission, clock: Clock) -> None:
        self._store = store
        self._writes = writes
        self._admission = admission
        self._clock = clock

    def delete(self, info: TypeInfo, namespace: str, name: str, options: DeleteOptions) -> tuple[Record, bool]:
        """Delete an object, or begin to; say whether it is gone."""
        live = self._store.find(shelf_name(info), (namespace, name))
        if live is None:
            raise not_found(info.resource, name)
        _check_preconditions(info, name, live.object["metadata"], options)
        if info.resource == "namespaces" and name in PERMANENT_NAMESPACES:
            raise forbidden("namespaces", name, "this namespace may not be deleted")
        request = AdmissionRequest("DELETE", info.resource, "", namespace, live.object, live.object, options.user)
        self._admission.validate(request)
        marked, changed = self._marked(info, live.object, options)
        if is_released(marked) or (info.resource == "pods" and not marked["metadata"].get("finalizers")
                                   and not marked["metadata"].get("deletionGracePeriodSeconds")):  # fmt: skip
            if options.dry_run:
                return live, True
            return self._writes.remove(info, live), True
        if not changed or options.dry_run:
            return live if not changed else Record(marked, live.rv), False
        record = self._store.put(shelf_name(info), marked)
        for observer in self._writes.observers:
            observer(info, live, record)
        return record, False

    def delete_collection(self, info: TypeInfo, victims: Iterable[Record], options: DeleteOptions) -> list[Record]:
        """Delete many; what is already gone is no error."""
        deleted: list[Record] = []
        for record in list(victims):
            metadata = record.object["metadata"]
            try:
                deleted.append(self.delete(info, metadata.get("namespace", ""), metadata["name"], options)[0])
            except ApiError as error:
                if error.code != 404:
                    raise
        return deleted

    def _marked(self, info: TypeInfo, live: Object, options: DeleteOptions) -> tuple[Object, bool]:
        """Give the object as one that is being deleted, and whether that differs from what it was."""
        metadata = dict(live["metadata"])
        finalizers = _finalizers(info, metadata.get("finalizers") or [], options)
        changed = finalizers != (metadata.get("finalizers") or [])
        metadata["finalizers"] = finalizers
        if not finalizers:
            metadata.pop("finalizers")
        if self._set_timestamps(info, live, metadata, options):
            changed = True
            if has_generation(info) and "deletionTimestamp" not in live["metadata"]:
                metadata["generation"] = (metadata.get("generation") or 0) + 1
        marked = {**live, "metadata": metadata}
        if info.resource == "namespaces":
            marked["status"] = {**(live.get("status") or {}), "phase": "Terminating"}
        return marked, changed

    def _set_timestamps(self, info: TypeInfo, live: Object, metadata: dict[str, Any], options: DeleteOptions) -> bool:
        grace = _grace(live, options) if info.resource == "pods" else 0
        if "deletionTimestamp" not in metadata:
            metadata["deletionTimestamp"] = rfc3339(self._clock.now() + timedelta(seconds=grace))
            metadata["deletionGracePeriodSeconds"] = grace
            return True
        before = metadata.get("deletionGracePeriodSeconds") or 0
        if info.resource != "pods" or options.grace_seconds is None or options.grace_seconds >= before:
            return False
        due = datetime.strptime(metadata["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        metadata["deletionTimestamp"] = rfc3339(due - timedelta(seconds=before - grace))
        metadata["deletionGracePeriodSeconds"] = grace
        return True


def _grace(pod: Object, options: DeleteOptions) -> int:
    """Give the seconds a Pod may take: none where nothing runs."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace_seconds is not None:
        return options.grace_seconds
    return int(spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE))


def _finalizers(info: TypeInfo, present: list[str], options: DeleteOptions) -> list[str]:
    """Give the finalizers that the propagation policy asks for."""
    if options.propagation is None and FOREGROUND not in present and ORPHAN not in present:
        wanted = ORPHAN if orphans_by_default(info) else None
    elif options.propagation is None:
        return present
    else:
        wanted = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(options.propagation)
    kept = [one for one in present if one not in (FOREGROUND, ORPHAN)]
    return [*kept, wanted] if wanted else kept


def _check_preconditions(info: TypeInfo, name: str, live: dict[str, Any], options: DeleteOptions) -> None:
    # These two name the kind, where every other conflict has the plural.
    what = f"{info.kind}.{info.group}" if info.group else info.kind
    if options.uid and options.uid != live["uid"]:
        text = f"the UID in the precondition ({options.uid}) does not match the UID in record ({live['uid']}). "
        raise conflict(what, name, text + "The object might have been deleted and then recreated")
    version = live["resourceVersion"]
    if options.resource_version and options.resource_version != version:
        text = f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
        raise conflict(what, name, text + f"ResourceVersion in record ({version}). The object might have been modified")
