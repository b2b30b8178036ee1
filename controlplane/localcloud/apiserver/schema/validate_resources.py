"""Validation of resource requirements: quantities, limits above requests, extended resources such as GPUs."""

from collections.abc import Mapping
from decimal import Decimal

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import FieldError, invalid, required
from controlplane.localcloud.apiserver.schema.quantity import parse_quantity

_NATIVE = ("cpu", "memory", "ephemeral-storage")


def is_extended(name: str) -> bool:
    """Say whether a resource is vendors' own, like `nvidia.com/gpu`: whole numbers, never overcommitted."""
    return "/" in name and "kubernetes.io/" not in name


def resources(field: str, value: Object) -> list[FieldError]:
    """Complain about a container's resources."""
    limits, requests = value.get("limits") or {}, value.get("requests") or {}
    found = _amounts(f"{field}.limits", limits)
    found += _amounts(f"{field}.requests", requests)
    for name, amount in sorted(requests.items()):
        limit = limits.get(name)
        single = is_extended(name) or name.startswith("hugepages-")
        if limit is None:
            if single:
                found.append(required(f"{field}.limits", "Limit must be set for non overcommitable resources"))
            continue
        asked, most = parse_quantity(amount), parse_quantity(limit)
        if single and asked != most:
            found.append(invalid(f"{field}.requests", amount, f"must be equal to {name} limit of {limit}"))
        elif not single and asked > most:
            found.append(invalid(f"{field}.requests", amount, f"must be less than or equal to {name} limit of {limit}"))
    return found


def _amounts(field: str, amounts: Mapping[str, str]) -> list[FieldError]:
    found: list[FieldError] = []
    for name, amount in sorted(amounts.items()):
        here = f"{field}[{name}]"
        found += [invalid(here, name, text) for text in names.qualified_name(name)]
        if "/" not in name and name not in _NATIVE and not name.startswith("hugepages-"):
            found.append(invalid(here, name, "must be a standard resource type or fully qualified"))
            found.append(invalid(here, name, "must be a standard resource for containers"))
        found += quantity(here, amount, whole=is_extended(name))
    return found


def quantity(field: str, amount: str, *, whole: bool = False) -> list[FieldError]:
    """Complain about a negative amount, or a broken one where only whole numbers make sense."""
    number: Decimal = parse_quantity(amount)
    if number < 0:
        return [invalid(field, amount, names.NOT_NEGATIVE)]
    if whole and number != number.to_integral_value():
        return [invalid(field, amount, "must be an integer")]
    return []
