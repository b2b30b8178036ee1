"""Create, update and patch: the rules that hold for every kind, whoever writes.

The order is kube-apiserver's: read, prepare, admit, validate, store. Objects that are stored are never changed again;
each write makes a new one.
"""

import copy
from collections.abc import Callable
from typing import Any

from controlplane.localcloud.apiserver.admission import Admission
from controlplane.localcloud.apiserver.api import AdmissionRequest, ApiError, Object, PatchKind
from controlplane.localcloud.apiserver.checks import (
    NO_VERSION,
    check_applied,
    check_fields,
    check_identity,
    check_name,
    check_preconditions,
    check_type,
    is_same,
    settle_namespace,
    told_as_patch,
)
from controlplane.localcloud.apiserver.errors import (
    already_exists,
    bad_request,
    conflict,
    not_found,
)
from controlplane.localcloud.apiserver.options import WriteOptions
from controlplane.localcloud.apiserver.patch import (
    server_side_apply,
    track_update,
)
from controlplane.localcloud.apiserver.preparation import initialise, merge_parts, patched, settle_name
from controlplane.localcloud.apiserver.records import Record
from controlplane.localcloud.apiserver.registry import Registry, is_stored_form, shelf_name, to_served, to_stored
from controlplane.localcloud.apiserver.schema import (
    FieldError,
    TypeInfo,
    apply_defaults,
    decode,
    generate_job_selector,
    refuse,
    validate,
    validate_update,
)
from controlplane.localcloud.apiserver.store import Store
from controlplane.localcloud.apiserver.strategy import (
    creates_on_update,
    desired_state,
    has_generation,
    needs_version_to_update,
)
from controlplane.localcloud.clock import Clock

# Called with (type, old record or None, new record or None) after every change that was stored.
Observer = Callable[[TypeInfo, Record | None, Record | None], None]


class Writes:
    """Everything that makes new versions of objects, deletions aside."""

    def __init__(self, store: Store, registry: Registry, admission: Admission, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._admission = admission
        self._clock = clock
        self.observers: list[Observer] = []

    def create(
        self, info: TypeInfo, namespace: str, body: Any, options: WriteOptions, *, applied: bool = False
    ) -> Record:
        """Create an object; an applied one has its managers settled already."""
        obj = self._read(info, body, options)
        metadata = obj.setdefault("metadata", {})
        if metadata.get("resourceVersion"):
            raise ApiError(500, "InternalError", "resourceVersion should not be set on objects to be created")
        settle_name(info, namespace, metadata)
        initialise(info, obj, self._clock.now(), keeps_status=options.keeps_status)
        apply_defaults(info, obj)
        stored = self._stored(info, obj)
        if info.resource == "jobs.batch":
            generate_job_selector(stored)
        request = self._request("CREATE", info, "", stored, None, options=options)
        self._admission.mutate(info, request)
        self._refuse(info, stored, validate(info, obj if stored is obj else to_served(info, stored)))
        self._admission.validate(request)
        if not applied:
            track_update(info, None, stored, options.manager, "Update", self._clock.now())
        name = stored["metadata"]["name"]
        if self._store.find(shelf_name(info), (stored["metadata"].get("namespace", ""), name)) is not None:
            raise already_exists(info.resource, name)
        return self._save(info, None, stored, options)

    def update(
        self, info: TypeInfo, namespace: str, name: str, body: Any, *, options: WriteOptions, subresource: str = ""
    ) -> tuple[Record, bool]:
        """Replace an object, or its status; say whether it was created."""
        obj = self._read(info, body, options)
        metadata = obj.setdefault("metadata", {})
        if not metadata.get("name"):
            raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
        check_name(name, metadata["name"])
        settle_namespace(info, namespace, metadata)
        live = self._store.find(shelf_name(info), (namespace, name))
        if live is None:
            if creates_on_update(info) and not subresource:
                metadata.pop("uid", None)
                metadata.pop("resourceVersion", None)
                return self.create(info, namespace, obj, options), True
            raise not_found(info.resource, name)
        if needs_version_to_update(info) and not metadata.get("resourceVersion") and not subresource:
            raise refuse(info, name, [NO_VERSION])
        return self._replace(info, live, obj, options, subresource), False

    def patch(
        self, info: TypeInfo, namespace: str, name: str, kind: PatchKind, patch: Any, *, options: WriteOptions,
        subresource: str = "",
    ) -> tuple[Record, bool]:  # fmt: skip
        """Patch an object in one of four ways; an apply to a name that does not exist creates it."""
        live = self._store.find(shelf_name(info), (namespace, name))
        if live is None:
            if kind == "apply" and not subresource:
                return self._apply_new(info, namespace, name, patch, options), True
            raise not_found(info.resource, name)
        now = self._clock.now()
        before = self._served(info, live.object)
        if kind == "apply":
            check_applied(info, namespace, name, patch)
            check_fields(info, patch, options)
            result = server_side_apply(info, before, patch, options.manager, options.force, now, subresource)
        else:
            result = patched(info, before, kind, patch)
            with told_as_patch(patch):
                check_fields(info, result, options)
        if not isinstance(result, dict) or not isinstance(result.get("metadata"), dict):
            raise bad_request("the patched object is not an object with metadata")
        with told_as_patch(patch):
            check_type(info, result)
        if not result["metadata"].get("name"):
            raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
        check_identity(info, namespace, name, result)
        with told_as_patch(patch):
            obj = decode(info, result)
        if (uid := obj["metadata"].get("uid")) and uid != before["metadata"]["uid"] and kind != "apply":
            raise refuse(info, name, [FieldError("FieldValueInvalid", "metadata.uid", uid, "field is immutable")])
        return self._replace(info, live, obj, options, subresource, applied=kind == "apply"), False

    def replace(
        self, info: TypeInfo, live: Record, obj: Object, options: WriteOptions, subresource: str = ""
    ) -> Record:
        """Replace a stored object by one of the same type, which the caller gives away."""
        return self._replace(info, live, obj, options, subresource)

    def store_as_is(self, info: TypeInfo, live: Record, obj: Object) -> Record:
        """Store a change that the server itself makes; the caller gives the object away."""
        if has_generation(info) and desired_state(info, obj) != desired_state(info, live.object):
            obj["metadata"]["generation"] = (obj["metadata"].get("generation") or 0) + 1
        return self._save(info, live, obj, WriteOptions())

    def type_of(self, resource: str) -> TypeInfo:
        """Find the stored version of a resource."""
        return self._registry.by_resource(resource)

    def _apply_new(self, info: TypeInfo, namespace: str, name: str, patch: Any, options: WriteOptions) -> Record:
        check_applied(info, namespace, name, patch)
        check_fields(info, patch, options)
        body = {**patch, "metadata": {**(patch.get("metadata") or {}), "name": name}}
        if info.namespaced:
            body["metadata"]["namespace"] = namespace
        if body["metadata"].get("uid"):
            text = "uid mismatch: the provided object specified uid {}, and no existing object was found"
            raise conflict(info.resource, name, text.format(body["metadata"]["uid"]))
        obj = server_side_apply(info, None, body, options.manager, options.force, self._clock.now())
        return self.create(info, namespace, obj, options, applied=True)

    def _replace(
        self, info: TypeInfo, live: Record, obj: Object, options: WriteOptions, subresource: str,
        *, applied: bool = False,
    ) -> Record:  # fmt: skip
        before = self._served(info, live.object)
        check_preconditions(info, before["metadata"], obj["metadata"])
        obj = merge_parts(info, before, obj, subresource)
        if not subresource:
            apply_defaults(info, obj)
        stored = self._stored(info, obj)
        request = self._request("UPDATE", info, subresource, stored, live.object, options=options)
        if not subresource:
            self._admission.mutate(info, request)
        after = self._served(info, stored)
        # The caller's precondition has been checked; a patch has none, and then the live object's version is meant.
        after = {**after, "metadata": {**after["metadata"], "resourceVersion": before["metadata"]["resourceVersion"]}}
        self._refuse(info, stored, validate_update(info, before, after))
        self._admission.validate(request)
        if not applied:
            track_update(info, live.object, stored, options.manager, "Update", self._clock.now(), subresource)
        if has_generation(info) and desired_state(info, stored) != desired_state(info, live.object):
            stored["metadata"]["generation"] = (stored["metadata"].get("generation") or 0) + 1
        if is_same(stored, live.object):
            return live
        return self._save(info, live, stored, options)

    def _save(self, info: TypeInfo, live: Record | None, stored: Object, options: WriteOptions) -> Record:
        metadata = stored["metadata"] = dict(stored["metadata"])
        if options.dry_run:
            metadata["resourceVersion"] = live.object["metadata"]["resourceVersion"] if live else None
            if live is None:
                del metadata["resourceVersion"]
            return Record(stored, self._store.rv)
        if live is not None and is_released(stored) and metadata.get("deletionTimestamp"):
            removed = self.remove(info, live)
            return Record({**stored, "metadata": {**metadata, "resourceVersion": str(removed.rv)}}, removed.rv)
        record = self._store.put(shelf_name(info), stored)
        self._tell(info, live, record)
        return record

    def remove(self, info: TypeInfo, record: Record) -> Record:
        """Take an object out of the store."""
        metadata = record.object["metadata"]
        removed = self._store.remove(shelf_name(info), (metadata.get("namespace", ""), metadata["name"]))
        self._tell(info, record, None)
        return removed

    def _tell(self, info: TypeInfo, old: Record | None, new: Record | None) -> None:
        for observer in self.observers:
            observer(info, old, new)

    def _read(self, info: TypeInfo, body: Any, options: WriteOptions) -> Object:
        if not isinstance(body, dict):
            raise bad_request(f"the object provided is unrecognized (must be of type {info.kind}): not an object")
        check_type(info, body)
        check_fields(info, body, options)
        obj: Object = decode(info, {**body, "apiVersion": info.api_version, "kind": info.kind})
        return obj

    def _request(
        self,
        operation: Any,
        info: TypeInfo,
        subresource: str,
        obj: Object,
        old: Object | None,
        *,
        options: WriteOptions,
    ) -> AdmissionRequest:
        namespace = obj["metadata"].get("namespace", "")
        return AdmissionRequest(operation, info.resource, subresource, namespace, obj, old, options.user)

    def _refuse(self, info: TypeInfo, obj: Object, errors: list[FieldError]) -> None:
        if errors:
            raise refuse(info, obj["metadata"]["name"], errors)

    def _served(self, info: TypeInfo, obj: Object) -> Object:
        return obj if is_stored_form(info) else to_served(info, obj)

    def _stored(self, info: TypeInfo, obj: Object) -> Object:
        return obj if is_stored_form(info) else to_stored(info, self._registry.by_resource(info.resource), obj)


def is_released(obj: Object) -> bool:
    """Say whether nothing holds back an object that is being deleted."""
    metadata = obj["metadata"]
    held = metadata.get("finalizers") or (obj["kind"] == "Namespace" and (obj.get("spec") or {}).get("finalizers"))
    return not held and not metadata.get("deletionGracePeriodSeconds")


def own_copy(obj: Object) -> Object:
    """Give a copy that may be changed."""
    return copy.deepcopy(obj)
