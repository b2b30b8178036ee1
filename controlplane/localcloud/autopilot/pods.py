"""What a Pod asks for: resources, GPUs, node labels, capacity type."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.quantity import parse_quantity
from controlplane.localcloud.autopilot import names
from controlplane.localcloud.scenario import FLEX_START, ON_DEMAND, SPOT

Amounts = dict[str, Decimal]


def containers_of(spec: Mapping[str, Any]) -> Iterator[Object]:
    """Give the init containers and the containers."""
    yield from spec.get("initContainers") or []
    yield from spec.get("containers") or []


def container_requests(container: Mapping[str, Any]) -> Amounts:
    """Give a container's requests; where only a limit is written, the limit is the request."""
    resources = container.get("resources") or {}
    amounts = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse_quantity(amount) for name, amount in amounts.items()}


def requests(spec: Mapping[str, Any]) -> Amounts:
    """Give what the scheduler counts for a Pod: all containers and sidecars, or the largest init container."""
    total: Amounts = {}
    for container in spec.get("containers") or []:
        _add(total, container_requests(container))
    largest: Amounts = {}
    for container in spec.get("initContainers") or []:
        amounts = container_requests(container)
        if container.get("restartPolicy") == "Always":
            _add(total, amounts)
        else:
            largest = {name: max(largest.get(name, Decimal(0)), amount) for name, amount in amounts.items()} | {
                name: amount for name, amount in largest.items() if name not in amounts
            }
    for name, amount in largest.items():
        total[name] = max(total.get(name, Decimal(0)), amount)
    _add(total, {name: parse_quantity(amount) for name, amount in (spec.get("overhead") or {}).items()})
    return total


def _add(total: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, Decimal(0)) + amount


def gpus(spec: Mapping[str, Any]) -> int:
    """Give the number of GPUs that a Pod asks for."""
    return int(requests(spec).get(names.GPU, Decimal(0)))


def wanted(spec: Mapping[str, Any], label: str) -> tuple[str, ...]:
    """Give the values of a node label that a Pod would take, in its own order; none where it does not say."""
    selector = spec.get("nodeSelector") or {}
    if label in selector:
        return (selector[label],)
    for term in required_terms(spec):
        for expression in term.get("matchExpressions") or []:
            if expression.get("key") == label and expression.get("operator") == "In":
                return tuple(expression.get("values") or ())
    return ()


def required_terms(spec: Mapping[str, Any]) -> list[Object]:
    """Give the node selector terms of the required node affinity, one of which must hold."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return required.get("nodeSelectorTerms") or []


def capacity_type(spec: Mapping[str, Any]) -> str:
    """Give how the Pod wants its capacity sold."""
    if wanted(spec, names.SPOT_LABEL)[:1] == ("true",):
        return SPOT
    if wanted(spec, names.FLEX)[:1] == ("true",):
        return FLEX_START
    provisioning = wanted(spec, names.PROVISIONING)[:1]
    return names.CAPACITY_OF.get(provisioning[0], ON_DEMAND) if provisioning else ON_DEMAND


def tolerates(spec: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Say whether one of the Pod's tolerations covers the taint."""
    return any(_covers(toleration, taint) for toleration in spec.get("tolerations") or [])


def _covers(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def is_bound(pod: Object) -> bool:
    """Say whether the Pod has a node."""
    return bool(pod["spec"].get("nodeName"))


def is_finished(pod: Object) -> bool:
    """Say whether the Pod ran to its end."""
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def is_waiting(pod: Object) -> bool:
    """Say whether the Pod waits for a node."""
    gated = bool(pod["spec"].get("schedulingGates"))
    return not (is_bound(pod) or is_finished(pod) or gated or pod["metadata"].get("deletionTimestamp"))


def used_on(pods: Iterable[Object]) -> dict[str, Amounts]:
    """Give what is taken on each node by the Pods bound to it."""
    used: dict[str, Amounts] = {}
    for pod in pods:
        if is_bound(pod) and not is_finished(pod):
            amounts = used.setdefault(pod["spec"]["nodeName"], {})
            _add(amounts, {**requests(pod["spec"]), "pods": Decimal(1)})
    return used
