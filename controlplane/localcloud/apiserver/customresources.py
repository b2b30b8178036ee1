"""CustomResourceDefinitions come to life: their types are served, their conditions told, their instances taken along.

The work is done while the definition is written, so that a client that waits for Established waits no longer than
its own request.
"""

from typing import Any

from controlplane.localcloud.apiserver.api import AdmissionRequest, ApiError, Object
from controlplane.localcloud.apiserver.deletion import CRD_CLEANUP, Deletion
from controlplane.localcloud.apiserver.options import DeleteOptions
from controlplane.localcloud.apiserver.records import Record
from controlplane.localcloud.apiserver.registry import Registry
from controlplane.localcloud.apiserver.schema import FieldError, TypeInfo, types_from_crd
from controlplane.localcloud.apiserver.schema.errors import invalid_error
from controlplane.localcloud.apiserver.store import Store
from controlplane.localcloud.apiserver.writes import Writes, own_copy
from controlplane.localcloud.clock import Clock, rfc3339

CRDS = "customresourcedefinitions.apiextensions.k8s.io"


class CustomResources:
    """Keeps the registry in step with the definitions."""

    def __init__(self, store: Store, registry: Registry, writes: Writes, deletion: Deletion, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._writes = writes
        self._deletion = deletion
        self._clock = clock
        self._definitions: dict[str, str] = {}
        writes.observers.append(self._observe)
        for record in store.objects(CRDS):
            self._serve(record.object)

    def admit(self, request: AdmissionRequest) -> None:
        """Complete a definition before it is stored; refuse new instances of one that is going."""
        if request.operation == "CREATE" and self._is_ending(request.resource):
            text = "create not allowed while custom resource definition is terminating"
            raise ApiError(405, "MethodNotAllowed", text, details={})
        if request.resource != CRDS or request.subresource or request.operation == "DELETE":
            return
        crd = request.object
        spec, metadata = crd["spec"], crd["metadata"]
        names = spec["names"]
        if metadata["name"] != f"{names.get('plural')}.{spec.get('group')}":
            error = FieldError("FieldValueInvalid", "metadata.name", metadata["name"],
                               'must be spec.names.plural+"."+spec.group')  # fmt: skip
            raise invalid_error("apiextensions.k8s.io", "CustomResourceDefinition", metadata["name"], [error])
        names.setdefault("listKind", f"{names['kind']}List")
        names.setdefault("singular", names["kind"].lower())
        if request.operation == "CREATE":
            metadata["finalizers"] = sorted({*(metadata.get("finalizers") or ()), CRD_CLEANUP})
        crd["status"] = self._status(crd, (request.old or {}).get("status") or {})

    def _status(self, crd: Object, before: Object) -> Object:
        spec = crd["spec"]
        stored = [version["name"] for version in spec["versions"] if version.get("storage")]
        versions = list(before.get("storedVersions") or [])
        versions += [name for name in stored if name not in versions]
        names = (("NamesAccepted", "NoConflicts", "no conflicts found"),
                 ("Established", "InitialNamesAccepted", "the initial names have been accepted"))  # fmt: skip
        conditions = before.get("conditions") or [self._condition(*one) for one in names]
        return {"conditions": conditions, "acceptedNames": dict(spec["names"]), "storedVersions": versions}

    def _condition(self, kind: str, reason: str, message: str) -> dict[str, Any]:
        now = rfc3339(self._clock.now())
        return {"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}

    def _observe(self, info: TypeInfo, old: Record | None, new: Record | None) -> None:
        if info.resource == CRDS:
            if new is None and old is not None:
                self._forget(old.object)
            elif new is not None and new.object["metadata"].get("deletionTimestamp"):
                self._delete_instances(new.object)
            elif new is not None:
                self._serve(new.object)
        elif info.custom and new is None and info.resource in self._definitions:
            definition = self._store.find(CRDS, ("", self._definitions[info.resource]))
            if definition is not None and definition.object["metadata"].get("deletionTimestamp"):
                self._finish(definition)

    def _serve(self, crd: Object) -> None:
        infos = types_from_crd(crd)
        if infos:
            self._registry.remove(infos[0].resource)
            self._registry.add(infos)
            self._definitions[infos[0].resource] = crd["metadata"]["name"]

    def _forget(self, crd: Object) -> None:
        for info in types_from_crd(crd)[:1]:
            self._registry.remove(info.resource)
            self._definitions.pop(info.resource, None)

    def _delete_instances(self, crd: Object) -> None:
        infos = [info for info in types_from_crd(crd) if info.storage]
        for info in infos:
            self._deletion.delete_collection(info, list(self._store.objects(info.resource)), DeleteOptions())
        definition = self._store.find(CRDS, ("", crd["metadata"]["name"]))
        if definition is not None and not self._tell_ending(definition):
            self._finish(definition)

    def _is_ending(self, resource: str) -> bool:
        name = self._definitions.get(resource)
        definition = self._store.find(CRDS, ("", name)) if name is not None else None
        return definition is not None and bool(definition.object["metadata"].get("deletionTimestamp"))

    def _tell_ending(self, definition: Record) -> bool:
        """Say in a condition that instances hold the definition back; whether that was news."""
        crd = definition.object
        conditions = (crd.get("status") or {}).get("conditions") or []
        told = any(one["type"] == "Terminating" for one in conditions)
        if told or not self._instances_left(crd):
            return False
        text = "CustomResource deletion is in progress"
        ending = self._condition("Terminating", "InstanceDeletionInProgress", text)
        changed = own_copy(crd)
        changed["status"] = {**(crd.get("status") or {}), "conditions": [*conditions, ending]}
        self._writes.store_as_is(self._registry.by_resource(CRDS), definition, changed)
        return True

    def _instances_left(self, crd: Object) -> bool:
        return any(self._store.shelf(info.resource).records for info in types_from_crd(crd)[:1])

    def _finish(self, definition: Record) -> None:
        """Let the definition go once no instance is left."""
        crd = definition.object
        finalizers = crd["metadata"].get("finalizers") or []
        if self._instances_left(crd) or CRD_CLEANUP not in finalizers:
            return
        released = own_copy(crd)
        released["metadata"]["finalizers"] = [one for one in finalizers if one != CRD_CLEANUP]
        try:
            self._writes.store_as_is(self._registry.by_resource(CRDS), definition, released)
        except ApiError as error:
            if error.code != 404:
                raise
