"""Validation of configuration, access, leases and priorities."""

from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import (
    FieldError,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)
from controlplane.localcloud.apiserver.schema.validate_resources import quantity

_SECRET_LIMIT = 1024 * 1024
_HIGHEST_PRIORITY = 1_000_000_000
_RBAC = "rbac.authorization.k8s.io"


def _data(obj: Object, *keys: str) -> list[FieldError]:
    found: list[FieldError] = []
    size = 0
    for key in keys:
        for name, value in sorted((obj.get(key) or {}).items()):
            found += [invalid(f"{key}[{name}]", name, text) for text in names.config_key(name)]
            size += len(value.encode()) * 3 // 4 if key != "data" or "type" in obj else len(value.encode())
    return [*found, too_long("data", "", _SECRET_LIMIT)] if size > _SECRET_LIMIT else found


def config_map(obj: Object) -> list[FieldError]:
    """Complain about a ConfigMap."""
    found = _data(obj, "data", "binaryData")
    both = sorted(set(obj.get("data") or ()) & set(obj.get("binaryData") or ()))
    return found + [invalid(f"data[{key}]", key, "duplicate of key present in binaryData") for key in both]


def secret(obj: Object) -> list[FieldError]:
    """Complain about a Secret."""
    found = _data(obj, "data")
    needed = {
        "kubernetes.io/tls": ("tls.crt", "tls.key"),
        "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
        "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    }.get(obj.get("type", ""), ())
    data = obj.get("data") or {}
    found += [required(f"data[{key}]") for key in needed if key not in data]
    if obj.get("type") == "kubernetes.io/service-account-token":
        annotations = (obj.get("metadata") or {}).get("annotations") or {}
        if not annotations.get("kubernetes.io/service-account.name"):
            found.append(required("metadata.annotations[kubernetes.io/service-account.name]"))
    return found


def frozen_data(old: Object, new: Object) -> list[FieldError]:
    """Complain about changes to a ConfigMap or Secret that was declared immutable, or to a Secret's type."""
    found: list[FieldError] = []
    if "type" in old and old["type"] != new.get("type"):
        found.append(invalid("type", new.get("type", ""), names.IMMUTABLE))
    if old.get("immutable"):
        text = "field is immutable when `immutable` is set"
        if not new.get("immutable"):
            found.append(forbidden("immutable", text))
        found += [forbidden(key, text) for key in ("data", "binaryData") if old.get(key) != new.get(key)]
    return found


def lease(obj: Object) -> list[FieldError]:
    """Complain about a Lease."""
    spec = obj.get("spec") or {}
    found: list[FieldError] = []
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        found.append(invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        found.append(invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return found


def priority_class(obj: Object) -> list[FieldError]:
    """Complain about a PriorityClass."""
    found: list[FieldError] = []
    name, value = (obj.get("metadata") or {}).get("name", ""), obj.get("value", 0)
    system = name in ("system-cluster-critical", "system-node-critical")
    if name.startswith("system-") and not system:
        text = "priority class names with 'system-' prefix are reserved for system use only"
        found.append(forbidden("metadata.name", text))
    if value > _HIGHEST_PRIORITY and not system:
        text = f"maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}"
        found.append(forbidden("value", text))
    if obj.get("preemptionPolicy") not in ("Never", "PreemptLowerPriority", None):
        allowed = ("Never", "PreemptLowerPriority")
        found.append(not_supported("preemptionPolicy", obj["preemptionPolicy"], allowed))
    return found


def priority_class_update(old: Object, new: Object) -> list[FieldError]:
    """Complain about a changed priority."""
    found = []
    if old.get("value", 0) != new.get("value", 0):
        found.append(forbidden("Value", "may not be changed in an update."))
    if old.get("preemptionPolicy") != new.get("preemptionPolicy"):
        found.append(invalid("preemptionPolicy", new.get("preemptionPolicy"), names.IMMUTABLE))
    return found


def role(obj: Object) -> list[FieldError]:
    """Complain about a Role or ClusterRole."""
    found: list[FieldError] = []
    for index, rule in enumerate(obj.get("rules") or ()):
        here = f"rules[{index}]"
        if not rule.get("verbs"):
            found.append(required(f"{here}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            if obj.get("kind") == "Role":
                text = "namespaced rules cannot apply to non-resource URLs"
                found.append(invalid(f"{here}.nonResourceURLs", rule["nonResourceURLs"], text))
            elif rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(invalid(f"{here}.nonResourceURLs", rule["nonResourceURLs"], text))
            continue
        if not rule.get("apiGroups"):
            found.append(required(f"{here}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            found.append(required(f"{here}.resources", "resource rules must supply at least one resource"))
    return found


def role_binding(obj: Object) -> list[FieldError]:
    """Complain about a RoleBinding or ClusterRoleBinding."""
    reference = obj.get("roleRef") or {}
    found: list[FieldError] = []
    if reference.get("apiGroup") != _RBAC:
        found.append(not_supported("roleRef.apiGroup", reference.get("apiGroup", ""), (_RBAC,)))
    kinds = ("ClusterRole",) if obj.get("kind") == "ClusterRoleBinding" else ("Role", "ClusterRole")
    if reference.get("kind") not in kinds:
        found.append(not_supported("roleRef.kind", reference.get("kind", ""), kinds))
    if not reference.get("name"):
        found.append(required("roleRef.name"))
    for index, subject in enumerate(obj.get("subjects") or ()):
        found += _subject(f"subjects[{index}]", subject)
    return found


def _subject(field: str, subject: Any) -> list[FieldError]:
    found: list[FieldError] = []
    if not subject.get("name"):
        return [required(f"{field}.name")]
    kind, group = subject.get("kind", ""), subject.get("apiGroup", "")
    if kind == "ServiceAccount":
        if group:
            found.append(not_supported(f"{field}.apiGroup", group, ("",)))
        if subject.get("name") and not subject.get("namespace"):
            found.append(required(f"{field}.namespace"))
    elif kind in ("User", "Group"):
        if group != _RBAC:
            found.append(not_supported(f"{field}.apiGroup", group, (_RBAC,)))
    else:
        found.append(not_supported(f"{field}.kind", kind, ("ServiceAccount", "User", "Group")))
    return found


def role_binding_update(old: Object, new: Object) -> list[FieldError]:
    """Complain about a changed role."""
    if old.get("roleRef") == new.get("roleRef"):
        return []
    return [invalid("roleRef", new.get("roleRef"), "cannot change roleRef")]


def resource_quota(obj: Object) -> list[FieldError]:
    """Complain about a ResourceQuota."""
    found: list[FieldError] = []
    for name, amount in sorted(((obj.get("spec") or {}).get("hard") or {}).items()):
        found += [invalid(f"spec.hard[{name}]", name, text) for text in names.qualified_name(name)]
        found += quantity(f"spec.hard[{name}]", amount)
    return found


def claim(obj: Object) -> list[FieldError]:
    """Complain about a PersistentVolumeClaim."""
    spec = obj.get("spec") or {}
    found: list[FieldError] = []
    if not spec.get("accessModes"):
        found.append(required("spec.accessModes", "at least 1 access mode is required"))
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        found.append(required("spec.resources[storage]"))
    return found


def storage_class(obj: Object) -> list[FieldError]:
    """Complain about a StorageClass."""
    return [] if obj.get("provisioner") else [required("provisioner")]


def event(obj: Object) -> list[FieldError]:
    """Complain about an Event that lies in another namespace than what it is about."""
    involved = obj.get("involvedObject") or obj.get("regarding") or {}
    namespace, about = (obj.get("metadata") or {}).get("namespace", ""), involved.get("namespace", "")
    if about and about != namespace:
        return [invalid("involvedObject.namespace", about, "does not match event.namespace")]
    if not about and namespace not in ("", "default", "kube-system"):
        return [invalid("involvedObject.namespace", about, "does not match event.namespace")]
    return []
