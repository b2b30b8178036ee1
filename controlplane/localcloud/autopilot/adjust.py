"""What Autopilot changes in Pods and Pod templates on their way in (the mutating half of Warden).

Requests that are missing get defaults, those below the minimum are raised, and the live object says so in an
annotation. So it differs from what was applied, which is why nobody should compare live templates with their own. Pods
also get the tolerations that their GPU and capacity type need, and GKE's scheduler.
"""

import json
from decimal import Decimal
from typing import Any

from controlplane.localcloud.apiserver.api import AdmissionRequest, Object
from controlplane.localcloud.apiserver.schema.quantity import canonical
from controlplane.localcloud.autopilot import limits, names
from controlplane.localcloud.autopilot.computeclass import custom_class
from controlplane.localcloud.autopilot.pods import capacity_type, container_requests, containers_of, gpus, wanted
from controlplane.localcloud.autopilot.workloads import MANAGED_NAMESPACES, pod_spec
from controlplane.localcloud.scenario import FLEX_START, SPOT

VERSION = "2.7.41"


class Adjustment:
    """The hook; it has no state."""

    def __call__(self, request: AdmissionRequest) -> None:
        """Change the object in place."""
        if request.subresource or request.operation == "DELETE" or request.namespace in MANAGED_NAMESPACES:
            return
        if request.resource == "pods" and request.operation != "CREATE":
            return
        spec = pod_spec(request.resource, request.object)
        if spec is None or not spec.get("containers"):
            return
        before = _resources(spec)
        _adjust(spec)
        after = _resources(spec)
        if request.resource == "pods":
            _tolerate(spec)
            if spec.get("schedulerName") in (None, "", "default-scheduler"):
                spec["schedulerName"] = names.SCHEDULER
        if after != before:
            _annotate(request.object, before, after)


def _resources(spec: dict[str, Any]) -> list[Object]:
    return [
        {"name": container.get("name"), **{k: dict(v) for k, v in (container.get("resources") or {}).items() if v}}
        for container in spec["containers"]
    ]


def _annotate(obj: Object, before: list[Object], after: list[Object]) -> None:
    annotations = obj.setdefault("metadata", {}).get("annotations") or {}
    if _output(annotations.get(names.ADJUSTMENT, "")) == after:
        return  # said already; what came in now is partly what was put out then
    adjustment = {"input": {"containers": before}, "output": {"containers": after}, "modified": True}
    annotations[names.ADJUSTMENT] = json.dumps(adjustment, separators=(",", ":"), sort_keys=True)
    annotations[names.WARDEN_VERSION] = VERSION
    obj["metadata"]["annotations"] = annotations


def _output(adjustment: str) -> Any:
    try:
        return json.loads(adjustment)["output"]["containers"]
    except (ValueError, KeyError, TypeError):
        return None


def _adjust(spec: dict[str, Any]) -> None:
    for container in containers_of(spec):
        _complete(container)
    accelerator = next(iter(wanted(spec, names.ACCELERATOR)), "")
    count = next(iter(wanted(spec, names.ACCELERATOR_COUNT)), "")
    bounds = limits.range_for(accelerator, int(count) if count.isdigit() else gpus(spec))
    main = next((c for c in spec["containers"] if names.GPU in container_requests(c)), spec["containers"][0])
    for resource in ("cpu", "memory"):
        total = sum((container_requests(c).get(resource, Decimal(0)) for c in spec["containers"]), Decimal(0))
        if total < bounds.least(resource):
            raised = container_requests(main).get(resource, Decimal(0)) + bounds.least(resource) - total
            _set_request(main, resource, raised)


def _complete(container: Object) -> None:
    """Let a limit be the request where there is none, add the defaults, and let requests be limits."""
    resources = container.get("resources") or {}
    resource_limits = dict(resources.get("limits") or {})
    requests = dict(resources.get("requests") or {})
    for name, amount in resource_limits.items():
        requests.setdefault(name, amount)
    for name, amount in limits.DEFAULTS.items():
        requests.setdefault(name, quantity(name, amount))
    if names.GPU in requests:
        resource_limits.setdefault(names.GPU, requests[names.GPU])
    for name in limits.DEFAULTS:
        resource_limits.setdefault(name, requests[name])
    container["resources"] = {**resources, "limits": resource_limits, "requests": requests}


def _set_request(container: Object, resource: str, amount: Decimal) -> None:
    text = quantity(resource, amount)
    resources = container["resources"]
    limit = container_requests({"resources": {"requests": resources["limits"]}}).get(resource, Decimal(0))
    resources["requests"][resource] = text
    if limit < amount:
        resources["limits"][resource] = text


def quantity(resource: str, amount: Decimal) -> str:
    """Write an amount the way people do: CPU in cores or millicores, the rest in binary units."""
    if resource == "cpu":
        return canonical(f"{int(amount * 1000)}m")
    return canonical(f"{int(amount / 1024**2)}Mi")


def _tolerate(spec: dict[str, Any]) -> None:
    needed = []
    if gpus(spec):
        needed.append({"key": names.GPU, "operator": "Exists", "effect": "NoSchedule"})
    capacity = capacity_type(spec)
    if capacity in (SPOT, FLEX_START):
        key = names.SPOT_LABEL if capacity == SPOT else names.FLEX
        needed.append({"key": key, "operator": "Equal", "value": "true", "effect": "NoSchedule"})
    if name := custom_class(spec):
        needed.append({"key": names.COMPUTE_CLASS, "operator": "Equal", "value": name, "effect": "NoSchedule"})
    present = spec.get("tolerations") or []
    missing = [t for t in needed if not any(old.get("key") == t["key"] for old in present)]
    if missing:
        spec["tolerations"] = [*present, *missing]
