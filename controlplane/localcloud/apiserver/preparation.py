"""How an object is made ready for storing: what the server sets, and what the request may say at this endpoint."""

from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object, PatchKind
from controlplane.localcloud.apiserver.checks import settle_namespace, told_as_patch
from controlplane.localcloud.apiserver.errors import bad_request, unsupported_media_type
from controlplane.localcloud.apiserver.patch import json_patch, merge_patch, strategic_merge_patch
from controlplane.localcloud.apiserver.schema import FieldError, TypeInfo, refuse
from controlplane.localcloud.apiserver.strategy import has_generation, has_status
from controlplane.localcloud.clock import new_suffix, new_uid, rfc3339

_SET_BY_SERVER = (
    "uid", "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds",
    "selfLink",
)  # fmt: skip
_KEPT = (
    "uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "namespace",
    "resourceVersion",
)  # fmt: skip
_LONGEST_GENERATED_BASE = 58
_METADATA_WITH_STATUS = ("pods", "nodes")


def settle_name(info: TypeInfo, namespace: str, metadata: dict[str, Any]) -> None:
    """Give the object its namespace, and a name where only a prefix is given."""
    settle_namespace(info, namespace, metadata)
    if not metadata.get("name"):
        base = metadata.get("generateName") or ""
        if not base:
            why = "name or generateName is required"
            raise refuse(info, "", [FieldError("FieldValueRequired", "metadata.name", "", why)])
        metadata["name"] = base[:_LONGEST_GENERATED_BASE] + new_suffix()


def initialise(info: TypeInfo, obj: Object, now: datetime, *, keeps_status: bool) -> None:
    """Give a new object its identity and what the server alone sets."""
    metadata = obj["metadata"] = {key: value for key, value in obj["metadata"].items() if key not in _SET_BY_SERVER}
    metadata["uid"] = new_uid()
    metadata["creationTimestamp"] = rfc3339(now)
    if has_generation(info):
        metadata["generation"] = 1
    if has_status(info) and not keeps_status:
        obj.pop("status", None)
    if info.resource == "namespaces":
        labels = metadata["labels"] = dict(metadata.get("labels") or {})
        labels["kubernetes.io/metadata.name"] = metadata["name"]
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}
    elif info.resource == "pods" and not (obj.get("status") or {}).get("phase"):
        obj["status"] = {"phase": "Pending", **(obj.get("status") or {})}


def merge_parts(info: TypeInfo, before: Object, obj: Object, subresource: str) -> Object:
    """Take from the request what this endpoint may write, and the rest from the live object."""
    old, new = before["metadata"], obj["metadata"]
    if subresource == "status":
        metadata = dict(old)
        if info.resource in _METADATA_WITH_STATUS:
            for key in ("labels", "annotations"):
                metadata.pop(key, None)
                metadata |= {key: new[key]} if key in new else {}
        if "managedFields" in new:
            metadata["managedFields"] = new["managedFields"]
        merged = {**before, "metadata": metadata}
        merged.pop("status", None)
        return merged | ({"status": obj["status"]} if "status" in obj else {})
    if subresource == "finalize":
        spec = {**(before.get("spec") or {}), "finalizers": (obj.get("spec") or {}).get("finalizers") or []}
        return {**before, "metadata": dict(old), "spec": spec}
    metadata = {key: value for key, value in new.items() if key not in _SET_BY_SERVER}
    metadata |= {key: old[key] for key in _KEPT if key in old}
    if "managedFields" not in metadata and "managedFields" in old:
        metadata["managedFields"] = old["managedFields"]
    merged = {**obj, "metadata": metadata}
    if has_status(info):
        merged.pop("status", None)
        merged |= {"status": before["status"]} if "status" in before else {}
    if info.resource == "namespaces":
        merged["spec"] = before.get("spec") or {}
    return merged


def patched(info: TypeInfo, before: Object, kind: PatchKind, patch: Any) -> Any:
    """Give the object after a patch of one of the three ordinary kinds."""
    if kind == "json":
        return json_patch(before, patch)
    if not isinstance(patch, dict):
        with told_as_patch(patch):
            raise bad_request("json: cannot unmarshal a value that is no object")
    if kind == "merge":
        return merge_patch(before, patch)
    if info.custom:
        raise unsupported_media_type(
            "application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"
        )
    return strategic_merge_patch(info, before, patch)
