"""Validation of what tells the scheduler where a Pod may go."""

from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import FieldError, invalid, not_supported, required

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")


def scheduling(field: str, spec: Object) -> list[FieldError]:
    """Complain about node selector, tolerations, affinity and spreading."""
    found = names.labels(f"{field}.nodeSelector", spec.get("nodeSelector"))
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        found += _toleration(f"{field}.tolerations[{index}]", toleration)
    found += _affinity(f"{field}.affinity", spec.get("affinity") or {})
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        found += _spread(f"{field}.topologySpreadConstraints[{index}]", constraint)
    return found


def _toleration(field: str, toleration: Object) -> list[FieldError]:
    key, operator, effect = toleration.get("key", ""), toleration.get("operator", ""), toleration.get("effect", "")
    found: list[FieldError] = []
    if key:
        found += [invalid(f"{field}.key", key, text) for text in names.qualified_name(key)]
    elif operator != "Exists":
        text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        found.append(invalid(f"{field}.operator", operator, text))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        found.append(invalid(f"{field}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    if operator == "Exists" and toleration.get("value"):
        found.append(
            invalid(f"{field}.operator", _internal(toleration), "value must be empty when `operator` is 'Exists'")
        )
    elif operator not in ("", "Equal", "Exists"):
        found.append(not_supported(f"{field}.operator", operator, ("Equal", "Exists")))
    if effect and effect not in _EFFECTS:
        found.append(not_supported(f"{field}.effect", effect, _EFFECTS))
    return found


def _internal(toleration: Object) -> Object:
    """Show it as the server's internal type, which has no JSON names."""
    keys = {"key": "", "operator": "", "value": "", "effect": "", "tolerationSeconds": None}
    return {key[0].upper() + key[1:]: toleration.get(key, default) for key, default in keys.items()}


def _affinity(field: str, affinity: Object) -> list[FieldError]:
    found: list[FieldError] = []
    node = affinity.get("nodeAffinity") or {}
    here = f"{field}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    needed = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if needed is not None:
        terms = needed.get("nodeSelectorTerms") or []
        if not terms:
            found.append(required(f"{here}.nodeSelectorTerms", "must have at least one node selector term"))
        for index, term in enumerate(terms):
            found += _node_term(f"{here}.nodeSelectorTerms[{index}]", term)
    here = f"{field}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution"
    for index, one in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        found += _weight(f"{here}[{index}]", one)
        found += _node_term(f"{here}[{index}].preference", one.get("preference") or {})
    for kind in ("podAffinity", "podAntiAffinity"):
        found += _pod_affinity(f"{field}.{kind}", affinity.get(kind) or {})
    return found


def _weight(field: str, one: Object) -> list[FieldError]:
    weight = one.get("weight", 0)
    return [] if 1 <= weight <= 100 else [invalid(f"{field}.weight", weight, "must be in the range 1-100")]


def _node_term(field: str, term: Object) -> list[FieldError]:
    found: list[FieldError] = []
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        found += _node_requirement(f"{field}.matchExpressions[{index}]", expression)
    return found


def _node_requirement(field: str, expression: Object) -> list[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or []
    if operator in ("Gt", "Lt"):
        text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
        found = [] if len(values) == 1 else [required(f"{field}.values", text)]
    else:
        found = names.set_operands(field, operator, values)
    key = expression.get("key", "")
    return found + [invalid(f"{field}.key", key, text) for text in names.qualified_name(key)]


def _pod_affinity(field: str, affinity: Object) -> list[FieldError]:
    found: list[FieldError] = []
    here = f"{field}.requiredDuringSchedulingIgnoredDuringExecution"
    for index, term in enumerate(affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
        found += _pod_term(f"{here}[{index}]", term)
    here = f"{field}.preferredDuringSchedulingIgnoredDuringExecution"
    for index, one in enumerate(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        found += _weight(f"{here}[{index}]", one)
        found += _pod_term(f"{here}[{index}].podAffinityTerm", one.get("podAffinityTerm") or {})
    return found


def _pod_term(field: str, term: Object) -> list[FieldError]:
    found = names.selector(f"{field}.labelSelector", term.get("labelSelector"))
    key = term.get("topologyKey", "")
    if not key:
        found.append(required(f"{field}.topologyKey", "can not be empty"))
    return found + [invalid(f"{field}.topologyKey", key, text) for text in names.qualified_name(key)]


def _spread(field: str, constraint: Any) -> list[FieldError]:
    found: list[FieldError] = []
    skew, mode = constraint.get("maxSkew", 0), constraint.get("whenUnsatisfiable", "")
    if skew <= 0:
        found.append(invalid(f"{field}.maxSkew", skew, "must be greater than zero"))
    if not constraint.get("topologyKey"):
        found.append(required(f"{field}.topologyKey", "can not be empty"))
    if mode not in _UNSATISFIABLE:
        found.append(not_supported(f"{field}.whenUnsatisfiable", mode, _UNSATISFIABLE))
    return found + names.selector(f"{field}.labelSelector", constraint.get("labelSelector"))
