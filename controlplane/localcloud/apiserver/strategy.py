"""What kube-apiserver does differently from kind to kind, as facts: generations, updates that create, deletions.

The sources are the registry strategies of kube-apiserver; the contract suite holds the important ones to a real one.
"""

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import TypeInfo

_WITH_GENERATION = frozenset({
    "pods", "replicationcontrollers", "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps",
    "jobs.batch", "cronjobs.batch", "poddisruptionbudgets.policy", "ingresses.networking.k8s.io",
    "ingressclasses.networking.k8s.io", "networkpolicies.networking.k8s.io", "endpointslices.discovery.k8s.io",
    "priorityclasses.scheduling.k8s.io", "customresourcedefinitions.apiextensions.k8s.io",
})  # fmt: skip
_CREATE_ON_UPDATE = frozenset({
    "events", "events.events.k8s.io", "endpoints", "services", "limitranges", "leases.coordination.k8s.io",
    "roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
})  # fmt: skip
_CONDITIONAL_UPDATE = frozenset({
    "leases.coordination.k8s.io", "poddisruptionbudgets.policy",
    "customresourcedefinitions.apiextensions.k8s.io",
})  # fmt: skip
_DELETION_RETURNS_OBJECT = frozenset({
    "pods", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "podtemplates",
    "resourcequotas",
})  # fmt: skip
_ORPHANS_BY_DEFAULT = frozenset({"jobs.batch", "replicationcontrollers"})
_IDENTITY = ("apiVersion", "kind", "metadata")


def has_generation(info: TypeInfo) -> bool:
    """Say whether metadata.generation counts the changes of the desired state."""
    return info.custom or info.resource in _WITH_GENERATION


def creates_on_update(info: TypeInfo) -> bool:
    """Say whether a PUT to a name that does not exist creates."""
    return info.resource in _CREATE_ON_UPDATE


def needs_version_to_update(info: TypeInfo) -> bool:
    """Say whether a PUT must name the resourceVersion that it replaces."""
    return info.custom or info.resource in _CONDITIONAL_UPDATE


def deletion_returns_object(info: TypeInfo) -> bool:
    """Say whether a finished deletion answers with the object instead of a Status."""
    return info.resource in _DELETION_RETURNS_OBJECT


def orphans_by_default(info: TypeInfo) -> bool:
    """Say whether a deletion without a propagation policy leaves the dependents alone."""
    return info.resource in _ORPHANS_BY_DEFAULT


def has_status(info: TypeInfo) -> bool:
    """Say whether the status is written through its own subresource only."""
    return "status" in info.subresources


def desired_state(info: TypeInfo, obj: Object) -> Object:
    """Give the part of an object whose changes the generation counts."""
    left_out = (*_IDENTITY, "status") if has_status(info) or not info.custom else _IDENTITY
    return {key: value for key, value in obj.items() if key not in left_out}
