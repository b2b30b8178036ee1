"""Where the Pod template is in each kind of workload, so that admission has one rule for all of them."""

from typing import Any

from controlplane.localcloud.apiserver.api import Object

_TEMPLATED = frozenset(
    {
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "jobs.batch",
        "cronjobs.batch",
        "replicationcontrollers",
    }
)
# What Google manages; users' rules do not hold there.
MANAGED_NAMESPACES = frozenset({"kube-system", "gke-managed-system", "gke-gmp-system", "gke-managed-cim"})


def pod_spec(resource: str, obj: Object) -> dict[str, Any] | None:
    """Give the Pod spec inside an object, to be read or changed in place; None where it has none."""
    spec = obj.get("spec")
    if resource in _TEMPLATED and isinstance(spec, dict):
        if resource == "cronjobs.batch":
            spec = (spec.get("jobTemplate") or {}).get("spec") or {}
        spec = (spec.get("template") or {}).get("spec")
    elif resource != "pods":
        return None
    return spec if isinstance(spec, dict) else None


def name_of(obj: Object) -> str:
    """Give the name that messages call the workload by."""
    meta = obj.get("metadata") or {}
    return str(meta.get("name") or meta.get("generateName") or "")
