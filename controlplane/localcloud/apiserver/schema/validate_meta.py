"""Validation of metadata, which is the same for every kind but for the shape of the name."""

from collections.abc import Callable
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import FieldError, forbidden, invalid, required, too_long
from controlplane.localcloud.apiserver.schema.types import TypeInfo

_ANNOTATIONS_LIMIT = 256 * 1024
_NAME_RULES: dict[str, Callable[[str], list[str]]] = {
    "Namespace": names.dns1123_label,
    "Service": names.dns1035_label,
    "Role": names.path_segment,
    "ClusterRole": names.path_segment,
    "RoleBinding": names.path_segment,
    "ClusterRoleBinding": names.path_segment,
}
_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp")


def validate_metadata(info: TypeInfo, obj: Object) -> list[FieldError]:
    """Complain about metadata."""
    metadata = obj.get("metadata") or {}
    found = _name(info, metadata)
    namespace = metadata.get("namespace", "")
    if info.namespaced:
        if not namespace:
            found.append(required("metadata.namespace"))
        else:
            found += [invalid("metadata.namespace", namespace, text) for text in names.dns1123_label(namespace)]
    elif namespace:
        found.append(forbidden("metadata.namespace", "not allowed on this type"))
    found += names.labels("metadata.labels", metadata.get("labels"))
    found += _annotations("metadata.annotations", metadata.get("annotations"))
    found += _owners(metadata.get("ownerReferences") or ())
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        found += [invalid("metadata.finalizers", finalizer, text) for text in names.qualified_name(finalizer)]
        # The API server for definitions and custom resources checks the form alone, as its own finalizer shows.
        core = not info.custom and info.group != "apiextensions.k8s.io"
        if core and "/" not in finalizer and finalizer not in _FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            found.append(invalid(f"metadata.finalizers[{index}]", finalizer, text))
    return found


def _name(info: TypeInfo, metadata: Object) -> list[FieldError]:
    found: list[FieldError] = []
    rule: Callable[[str], list[str]] = names.dns1123_subdomain
    if not info.custom and (info.kind != "Service" or not info.group):
        rule = _NAME_RULES.get(info.kind, rule)
    name = metadata.get("name")
    if not name:
        found.append(required("metadata.name", "name or generateName is required"))
    else:
        found += [invalid("metadata.name", name, text) for text in rule(name)]
    return found


def _annotations(field: str, values: Any) -> list[FieldError]:
    found: list[FieldError] = []
    size = 0
    for key, value in sorted((values or {}).items()):
        found += [invalid(field, key, text) for text in names.qualified_name(key.lower())]
        size += len(key.encode()) + len(value.encode())
    return [*found, too_long(field, "", _ANNOTATIONS_LIMIT)] if size > _ANNOTATIONS_LIMIT else found


def _owners(owners: Any) -> list[FieldError]:
    found: list[FieldError] = []
    controllers: list[str] = []
    for owner in owners:
        field = "metadata.ownerReferences"
        for key, text in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")):
            if not owner.get(key):
                found.append(invalid(f"{field}.{key}", owner.get(key, ""), f"{text} must not be empty"))
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        found_in = " and ".join(controllers)
        text = f'Only one reference can have Controller set to true. Found "true" in references for {found_in}'
        found.append(invalid("metadata.ownerReferences", owners, text))
    return found


def validate_metadata_update(old: Object, new: Object) -> list[FieldError]:
    """Complain about changes to what identifies an object."""
    before, after = old.get("metadata") or {}, new.get("metadata") or {}
    changed = [key for key in _IMMUTABLE if key in before and after.get(key) != before[key]]
    found = [invalid(f"metadata.{key}", after.get(key, ""), names.IMMUTABLE) for key in changed]
    if before.get("deletionTimestamp"):
        added = set(after.get("finalizers") or ()) - set(before.get("finalizers") or ())
        if added:
            text = "no new finalizers can be added if the object is being deleted, found new finalizers "
            found.append(forbidden("metadata.finalizers", f"{text}{_go_list(sorted(added))}"))
    return found


def _go_list(values: list[str]) -> str:
    return "[]string{" + ", ".join(f'"{value}"' for value in values) + "}"
