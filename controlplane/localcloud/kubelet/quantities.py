"""Resource quantities: as far as the kubelet needs them, for the downward API and the QoS class."""

from decimal import ROUND_CEILING, Decimal, InvalidOperation

from controlplane.localcloud.apiserver.api import Object

SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


def parse_quantity(text: object) -> Decimal:
    """Give the number that a quantity stands for; garbage counts as nothing, for the API server has refused it."""
    value = str(text).strip()
    number = value.rstrip("numkKMGTPEi")
    try:
        return Decimal(number) * SUFFIXES[value[len(number) :]]
    except (InvalidOperation, KeyError):
        try:
            return Decimal(value)
        except InvalidOperation:
            return Decimal(0)


def resource_value(pod: Object, container: Object, field: Object) -> str:
    """Give what a resourceFieldRef gives: the quantity over the divisor, rounded up."""
    name = field.get("containerName")
    if name:
        container = next((c for c in pod["spec"]["containers"] if c["name"] == name), container)
    kind, _, resource = field["resource"].partition(".")
    amounts = (container.get("resources") or {}).get(kind) or {}
    divisor = parse_quantity(field.get("divisor") or "1") or Decimal(1)
    value = parse_quantity(amounts.get(resource, "0")) / divisor
    return str(int(value.to_integral_value(ROUND_CEILING)))


def qos_class(pod: Object) -> str:
    """Give the quality-of-service class, by Kubernetes' rules for cpu and memory."""
    spec = pod["spec"]
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    resources = [container.get("resources") or {} for container in containers]
    compute = ("cpu", "memory")

    def amounts(of: Object, kind: str) -> dict[str, Decimal]:
        return {key: parse_quantity(value) for key, value in (of.get(kind) or {}).items() if key in compute}

    if not any(amounts(of, "requests") or amounts(of, "limits") for of in resources):
        return "BestEffort"
    for of in resources:
        limits = amounts(of, "limits")
        if set(limits) != set(compute) or {**limits, **amounts(of, "requests")} != limits:
            return "Burstable"
    return "Guaranteed"
