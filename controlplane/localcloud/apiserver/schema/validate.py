"""Validation: which complaints the API server has about an object, in the reference's words and order."""

from collections.abc import Callable
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.schema import validate_config as config
from controlplane.localcloud.apiserver.schema import validate_network as network
from controlplane.localcloud.apiserver.schema import validate_workloads as workloads
from controlplane.localcloud.apiserver.schema.definition import validate_definition, validate_definition_update
from controlplane.localcloud.apiserver.schema.errors import FieldError, Verbatim, invalid, invalid_error
from controlplane.localcloud.apiserver.schema.structural import validate_custom
from controlplane.localcloud.apiserver.schema.types import TypeInfo
from controlplane.localcloud.apiserver.schema.validate_meta import validate_metadata, validate_metadata_update
from controlplane.localcloud.apiserver.schema.validate_pod import pod_spec
from controlplane.localcloud.apiserver.schema.validate_update import UPDATE_RULES

_RBAC = "rbac.authorization.k8s.io"
_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")


def _pod(obj: Object) -> list[FieldError]:
    return pod_spec("spec", obj.get("spec") or {})


_RULES: dict[tuple[str, str], Callable[[Any], list[FieldError]]] = {
    ("", "ConfigMap"): config.config_map,
    ("", "Endpoints"): network.endpoints,
    ("", "Event"): config.event,
    ("", "PersistentVolumeClaim"): config.claim,
    ("", "Pod"): _pod,
    ("", "ReplicationController"): workloads.replication_controller,
    ("", "ResourceQuota"): config.resource_quota,
    ("", "Secret"): config.secret,
    ("", "Service"): network.service,
    _CRD: validate_definition,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("autoscaling", "HorizontalPodAutoscaler"): workloads.autoscaler,
    ("batch", "CronJob"): workloads.cron_job,
    ("batch", "Job"): workloads.job,
    ("coordination.k8s.io", "Lease"): config.lease,
    ("discovery.k8s.io", "EndpointSlice"): network.endpoint_slice,
    ("networking.k8s.io", "Ingress"): network.ingress,
    ("policy", "PodDisruptionBudget"): workloads.budget,
    (_RBAC, "ClusterRole"): config.role,
    (_RBAC, "ClusterRoleBinding"): config.role_binding,
    (_RBAC, "Role"): config.role,
    (_RBAC, "RoleBinding"): config.role_binding,
    ("scheduling.k8s.io", "PriorityClass"): config.priority_class,
    ("storage.k8s.io", "StorageClass"): config.storage_class,
}
# Kinds that refuse a PUT without a resourceVersion: their writers must have read before.
_CONDITIONAL = {_CRD, ("coordination.k8s.io", "Lease"), ("policy", "PodDisruptionBudget")}


def validate(info: TypeInfo, obj: Object) -> list[FieldError]:
    """Give the complaints about a new object (after defaulting), none where it is valid."""
    found = validate_metadata(info, obj)
    if info.custom:
        return found + validate_custom(info, obj)
    rule = _RULES.get((info.group, info.kind))
    return found + rule(obj) if rule is not None else found


def validate_update(info: TypeInfo, old: Object, new: Object) -> list[FieldError]:
    """Give the complaints about a change, those about the new object included.

    Parts that did not change are not looked at again: what was valid once stays so.
    """
    found = validate_metadata_update(old, new)
    if (info.custom or (info.group, info.kind) in _CONDITIONAL) and not (new.get("metadata") or {}).get(
        "resourceVersion"
    ):
        found.append(_NO_VERSION)
    if (old.get("metadata") or {}).get("labels") != (new.get("metadata") or {}).get("labels") or _rest(old) != _rest(
        new
    ):
        found += validate(info, new)
    if (info.group, info.kind) == _CRD:
        found += validate_definition_update(old, new)
    rule = UPDATE_RULES.get((info.group, info.kind)) if not info.custom else None
    return found + rule(old, new) if rule is not None else found


def _rest(obj: Object) -> Object:
    rest = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    metadata = obj.get("metadata") or {}
    rest["metadata"] = {key: metadata.get(key) for key in ("annotations", "ownerReferences", "finalizers")}
    rest["status"] = obj.get("status")
    return rest


_NO_VERSION = invalid("metadata.resourceVersion", Verbatim("0x0"), "must be specified for an update")


def refuse(info: TypeInfo, name: str, errors: list[FieldError]) -> ApiError:
    """Give the 422 for these complaints."""
    return invalid_error(info.group, info.kind, name, errors)
