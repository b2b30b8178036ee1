"""Which fields of the built-in kinds cannot be changed once they are set."""

from collections.abc import Callable
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import FieldError, forbidden, invalid
from controlplane.localcloud.apiserver.schema.validate_config import (
    frozen_data,
    priority_class_update,
    role_binding_update,
)
from controlplane.localcloud.apiserver.schema.validate_network import endpoint_slice_update, service_update

_POD_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_STATEFUL_SET_TEXT = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_SET_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def _same(old: Object, new: Object, *keys: str) -> list[FieldError]:
    before, after = old.get("spec") or {}, new.get("spec") or {}
    return [
        invalid(f"spec.{key}", after.get(key), names.IMMUTABLE) for key in keys if before.get(key) != after.get(key)
    ]


def _selector(old: Object, new: Object) -> list[FieldError]:
    return _same(old, new, "selector")


def _stateful_set(old: Object, new: Object) -> list[FieldError]:
    before, after = old.get("spec") or {}, new.get("spec") or {}
    changed = any(before.get(key) != after.get(key) for key in {*before, *after} if key not in _STATEFUL_SET_MUTABLE)
    return [forbidden("spec", _STATEFUL_SET_TEXT)] if changed else []


def _job(old: Object, new: Object) -> list[FieldError]:
    found = _same(old, new, "completions") if not _elastic(old, new) else []
    found += _same(old, new, "selector")
    before, after = old.get("spec") or {}, new.get("spec") or {}
    was, now = before.get("template"), after.get("template")
    # A Job that is suspended and never ran may still be told where its Pods go.
    if before.get("suspend") and not (old.get("status") or {}).get("startTime"):
        was, now = _without_placement(was), _without_placement(now)
    if was != now:
        found.append(invalid("spec.template", after.get("template"), names.IMMUTABLE))
    return found + _same(old, new, "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy")


def _elastic(old: Object, new: Object) -> bool:
    spec = new.get("spec") or {}
    return spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")


def _without_placement(template: Any) -> Any:
    if not template:
        return template
    metadata = {
        key: value for key, value in (template.get("metadata") or {}).items() if key not in ("labels", "annotations")
    }
    hidden = ("nodeSelector", "tolerations", "affinity", "schedulingGates")
    spec = {key: value for key, value in (template.get("spec") or {}).items() if key not in hidden}
    return {"metadata": metadata, "spec": spec}


def _pod(old: Object, new: Object) -> list[FieldError]:
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before == after:
        return []
    found: list[FieldError] = []
    found += _deadline(before, after)
    if _mutable_hidden(before, after) != _mutable_hidden(before, before):
        found.append(forbidden("spec", _POD_TEXT))
    return found


def _deadline(before: Object, after: Object) -> list[FieldError]:
    was, now = before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds")
    if was is None or was == now:
        return []
    field = "spec.activeDeadlineSeconds"
    if now is None:
        return [invalid(field, now, "must not update from a positive integer to nil value")]
    return [invalid(field, now, "must be less than or equal to previous value")] if now > was else []


def _mutable_hidden(before: Object, spec: Object) -> Object:
    """Give the spec without what may change: images, the deadline, added tolerations, lifted scheduling gates."""
    rest = {key: value for key, value in spec.items() if key != "activeDeadlineSeconds"}
    for key in ("containers", "initContainers", "ephemeralContainers"):
        if key in rest:
            rest[key] = [{name: value for name, value in one.items() if name != "image"} for one in rest[key]]
    rest.pop("ephemeralContainers", None)
    tolerations = rest.pop("tolerations", None) or []
    rest["tolerations kept"] = [one for one in before.get("tolerations") or () if one in tolerations]
    gates = rest.pop("schedulingGates", None) or []
    rest["gates added"] = [one for one in gates if one not in (before.get("schedulingGates") or ())]
    if before.get("schedulingGates") and not before.get("nodeName"):
        rest.pop("nodeSelector", None)
        rest.pop("affinity", None)
    return rest


def _claim(old: Object, new: Object) -> list[FieldError]:
    before, after = old.get("spec") or {}, new.get("spec") or {}
    keys = ("resources", "volumeName", "volumeAttributesClassName")
    changed = any(before.get(key) != after.get(key) for key in {*before, *after} if key not in keys)
    text = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    return [forbidden("spec", text)] if changed else []


def _storage_class(old: Object, new: Object) -> list[FieldError]:
    keys = ("parameters", "provisioner", "reclaimPolicy")
    found = [forbidden(key, f"updates to {key} are forbidden.") for key in keys if old.get(key) != new.get(key)]
    mode = "volumeBindingMode"
    return found if old.get(mode) == new.get(mode) else [*found, invalid(mode, new.get(mode), names.IMMUTABLE)]


UPDATE_RULES: dict[tuple[str, str], Callable[[Any, Any], list[FieldError]]] = {
    ("", "ConfigMap"): frozen_data,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("", "Secret"): frozen_data,
    ("", "Service"): service_update,
    ("apps", "DaemonSet"): _selector,
    ("apps", "Deployment"): _selector,
    ("apps", "ReplicaSet"): _selector,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("discovery.k8s.io", "EndpointSlice"): endpoint_slice_update,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): role_binding_update,
    ("rbac.authorization.k8s.io", "RoleBinding"): role_binding_update,
    ("scheduling.k8s.io", "PriorityClass"): priority_class_update,
    ("storage.k8s.io", "StorageClass"): _storage_class,
}
