"""Rows of configuration, storage, access, leases and definitions."""

from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.tables.age import age
from controlplane.localcloud.apiserver.tables.columns import (
    NONE,
    UNSET,
    Printer,
    created,
    labels_text,
    name_of,
    printer,
)


def _config_map(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(created(obj), now)]


def _secret(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), obj.get("type", ""), len(obj.get("data") or ()), age(created(obj), now)]


def _service_account(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), len(obj.get("secrets") or ()), age(created(obj), now)]


def _lease(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), (obj.get("spec") or {}).get("holderIdentity", ""), age(created(obj), now)]


def _modes(modes: Any) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in modes or ())


def _volume(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    claim = spec.get("claimRef") or {}
    return [
        name_of(obj),
        (spec.get("capacity") or {}).get("storage", ""),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if (obj.get("metadata") or {}).get("deletionTimestamp") else status.get("phase", ""),
        f"{claim.get('namespace', '')}/{claim['name']}" if claim.get("name") else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason", ""),
        age(created(obj), now),
        spec.get("volumeMode") or UNSET,
    ]


def _claim(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    bound = bool(spec.get("volumeName"))
    return [
        name_of(obj),
        "Terminating" if (obj.get("metadata") or {}).get("deletionTimestamp") else status.get("phase", ""),
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "") if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        age(created(obj), now),
        spec.get("volumeMode") or UNSET,
    ]


def _created_at(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), created(obj) or ""]


def _quota(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    used = status.get("used") or {}
    rows: dict[bool, list[str]] = {True: [], False: []}
    for key, hard in sorted((status.get("hard") or spec.get("hard") or {}).items()):
        rows[key.startswith("limits.")].append(f"{key}: {used.get(key, '0')}/{hard}")
    return [name_of(obj), ", ".join(rows[False]), ", ".join(rows[True]), age(created(obj), now)]


def _binding(obj: Object, now: datetime) -> list[Any]:
    role = obj.get("roleRef") or {}
    subjects: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or ():
        name = subject.get("name", "")
        if subject.get("kind") == "ServiceAccount":
            name = f"{subject.get('namespace', '')}/{name}"
        subjects.setdefault(subject.get("kind", ""), []).append(name)
    return [
        name_of(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        age(created(obj), now),
        ", ".join(subjects["User"]),
        ", ".join(subjects["Group"]),
        ", ".join(subjects["ServiceAccount"]),
    ]


def _priority_class(obj: Object, now: datetime) -> list[Any]:
    default = bool(obj.get("globalDefault"))
    return [name_of(obj), obj.get("value", 0), default, age(created(obj), now), obj.get("preemptionPolicy", "")]


def _storage_class(obj: Object, now: datetime) -> list[Any]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    name = name_of(obj)
    if annotations.get("storageclass.kubernetes.io/is-default-class") == "true":
        name += " (default)"
    return [
        name,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        age(created(obj), now),
    ]


def _revision(obj: Object, now: datetime) -> list[Any]:
    owners = (obj.get("metadata") or {}).get("ownerReferences") or ()
    controller = next((one for one in owners if one.get("controller")), None)
    owner = NONE
    if controller is not None:
        group = controller.get("apiVersion", "").rpartition("/")[0]
        kind = str(controller.get("kind", "")).lower()
        owner = f"{kind}.{group}/{controller.get('name')}" if group else f"{kind}/{controller.get('name')}"
    return [name_of(obj), owner, obj.get("revision", 0), age(created(obj), now)]


def _pod_template(obj: Object, now: datetime) -> list[Any]:
    template = obj.get("template") or {}
    containers = (template.get("spec") or {}).get("containers") or ()
    return [
        name_of(obj),
        ",".join(one.get("name", "") for one in containers),
        ",".join(one.get("image", "") for one in containers),
        labels_text((template.get("metadata") or {}).get("labels")),
    ]


_SUBJECTS = ("+Users", "+Groups", "+ServiceAccounts")
_RBAC = "rbac.authorization.k8s.io"
CONFIG: dict[tuple[str, str], Printer] = {
    ("", "ConfigMap"): printer(_config_map, "Name", "Data", "Age"),
    ("", "Secret"): printer(_secret, "Name", "Type", "Data", "Age"),
    ("", "ServiceAccount"): printer(_service_account, "Name", "Secrets", "Age"),
    ("coordination.k8s.io", "Lease"): printer(_lease, "Name", "Holder", "Age"),
    ("", "PersistentVolume"): printer(
        _volume,
        "Name",
        "Capacity",
        "Access Modes",
        "Reclaim Policy",
        "Status",
        "Claim",
        "StorageClass",
        "VolumeAttributesClass",
        "Reason",
        "Age",
        "+VolumeMode",
    ),
    ("", "PersistentVolumeClaim"): printer(
        _claim,
        "Name",
        "Status",
        "Volume",
        "Capacity",
        "Access Modes",
        "StorageClass",
        "VolumeAttributesClass",
        "Age",
        "+VolumeMode",
    ),
    ("", "LimitRange"): printer(_created_at, "Name", "Created At:date"),
    ("", "ResourceQuota"): printer(_quota, "Name", "Request", "Limit", "Age"),
    ("", "PodTemplate"): printer(_pod_template, "Name", "Containers", "Images", "Pod Labels"),
    (_RBAC, "Role"): printer(_created_at, "Name", "Created At:date"),
    (_RBAC, "ClusterRole"): printer(_created_at, "Name", "Created At:date"),
    (_RBAC, "RoleBinding"): printer(_binding, "Name", "Role", "Age", *_SUBJECTS),
    (_RBAC, "ClusterRoleBinding"): printer(_binding, "Name", "Role", "Age", *_SUBJECTS),
    ("scheduling.k8s.io", "PriorityClass"): printer(
        _priority_class, "Name", "Value:integer", "Global-Default:boolean", "Age", "+PreemptionPolicy"
    ),
    ("storage.k8s.io", "StorageClass"): printer(
        _storage_class,
        "Name",
        "Provisioner",
        "ReclaimPolicy",
        "VolumeBindingMode",
        "AllowVolumeExpansion",
        "Age",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): printer(_created_at, "Name", "Created At:date"),
    ("apps", "ControllerRevision"): printer(_revision, "Name", "Controller", "Revision", "Age"),
}
