"""What a write is refused for before anything is looked up: types, names, namespaces, versions, unknown fields."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.errors import bad_request, conflict, modified
from controlplane.localcloud.apiserver.options import WriteOptions
from controlplane.localcloud.apiserver.schema import FieldError, TypeInfo, strict_error, unknown_fields


class _ZeroVersion(int):
    """The missing resourceVersion, which kube-apiserver shows as 0x0."""

    def __str__(self) -> str:
        return "0x0"


NO_VERSION = FieldError(
    "FieldValueInvalid", "metadata.resourceVersion", _ZeroVersion(), "must be specified for an update"
)


def check_type(info: TypeInfo, body: Object) -> None:
    """Refuse another kind or version than the path's."""
    kind, api_version = body.get("kind"), body.get("apiVersion")
    if api_version and api_version != info.api_version:
        text = "the API version in the data ({}) does not match the expected API version ({})"
        raise bad_request(text.format(api_version, info.api_version))
    if kind and kind != info.kind:
        text = '{} in version "{}" cannot be handled as a {}: unknown conversion'
        raise bad_request(text.format(kind, info.version, info.kind))


def check_identity(info: TypeInfo, namespace: str, name: str, obj: Any) -> None:
    """Refuse another kind, name or namespace than the path's."""
    if not isinstance(obj, dict):
        return
    check_type(info, obj)
    metadata = obj.get("metadata") or {}
    check_name(name, metadata.get("name") or name)
    settle_namespace(info, namespace, dict(metadata))


def check_applied(info: TypeInfo, namespace: str, name: str, obj: Any) -> None:
    """Refuse an applied configuration that does not say what it is, or that is something else."""
    if not isinstance(obj, dict):
        raise bad_request("error decoding YAML: the body is no object")
    if not (obj.get("metadata") or {}).get("name"):
        raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if obj.get("apiVersion") != info.api_version:
        text = "Incorrect version specified in apply patch. Specified patch version: {}, expected: {}"
        raise bad_request(text.format(obj.get("apiVersion") or "", info.api_version))
    check_identity(info, namespace, name, obj)


@contextmanager
def told_as_patch(patch: Any) -> Iterator[None]:
    """Turn the 400 of an object that cannot be read into the 422 of the patch that made it so."""
    try:
        yield
    except ApiError as error:
        if error.code != 400:
            raise
        shown = json.dumps(patch, separators=(",", ":"))
        complaint = FieldError("FieldValueInvalid", "patch", shown, error.message)
        details = {"causes": [complaint.cause()]}
        raise ApiError(422, "Invalid", f' "" is invalid: {complaint}', details=details) from error


def check_name(name: str, given: str) -> None:
    """Refuse another name than the path's."""
    if given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def settle_namespace(info: TypeInfo, namespace: str, metadata: dict[str, Any]) -> None:
    """Refuse another namespace than the path's; write the path's into the metadata."""
    if not info.namespaced:
        metadata.pop("namespace", None)
        return
    if metadata.setdefault("namespace", namespace) not in (namespace, ""):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    metadata["namespace"] = namespace


def check_fields(info: TypeInfo, body: Any, options: WriteOptions) -> None:
    """Refuse unknown fields, or collect warnings about them, as the request wants it."""
    if options.field_validation == "Ignore" or not isinstance(body, dict):
        return
    complaints = unknown_fields(info, body)
    if complaints and options.field_validation == "Strict":
        if info.custom:
            raise strict_error(complaints)
        prefix = f'{info.kind} in version "{info.version}" cannot be handled as a {info.kind}: '
        raise bad_request(prefix + strict_error(complaints).message)
    options.warnings.extend(complaints)


def check_preconditions(info: TypeInfo, live: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse a write that was meant for another version, or another object of the same name."""
    version, uid = given.get("resourceVersion"), given.get("uid")
    if uid and uid != live["uid"]:
        text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live['uid']}"
        raise conflict(info.resource, live["name"], text)
    if version and version not in (live["resourceVersion"], "0"):
        raise modified(info.resource, live["name"])


def is_same(new: Object, live: Object) -> bool:
    """Compare two versions without their resourceVersion and the times of their managers."""
    old_metadata, new_metadata = live["metadata"], new["metadata"]
    if {**new, "metadata": None} != {**live, "metadata": None}:
        return False
    ignored = ("resourceVersion", "managedFields")
    if any(new_metadata.get(key) != old_metadata.get(key) for key in {*new_metadata, *old_metadata} - {*ignored}):
        return False
    return _without_times(new_metadata) == _without_times(old_metadata)


def _without_times(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**entry, "time": ""} for entry in metadata.get("managedFields") or ()]
