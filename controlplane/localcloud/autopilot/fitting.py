"""Whether a Pod fits a node, and in the scheduler's own words why not. Pure.

The checks come in kube-scheduler's order and the first that fails is the one that is told, as there.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.quantity import parse_quantity
from controlplane.localcloud.autopilot import names
from controlplane.localcloud.autopilot.pods import Amounts, requests, required_terms, tolerates

_AFFINITY = "node(s) didn't match Pod's node affinity/selector"
_HARD = frozenset({"NoSchedule", "NoExecute"})


def misfits(spec: Mapping[str, Any], node: Object, used: Amounts, *, ignore: Iterable[str] = ()) -> list[str]:
    """Give why the Pod cannot go to the node; an empty list: it can. Taints whose key is in `ignore` do not count."""
    node_spec = node.get("spec") or {}
    unschedulable = {"key": names.UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
    if node_spec.get("unschedulable") and not tolerates(spec, unschedulable):
        return ["node(s) were unschedulable"]
    skipped = {*ignore, names.UNSCHEDULABLE_TAINT}
    for taint in node_spec.get("taints") or []:
        if taint.get("effect") in _HARD and taint["key"] not in skipped and not tolerates(spec, taint):
            return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"]
    if not _selected(spec, node):
        return [_AFFINITY]
    return _shortages(spec, node, used)


def _selected(spec: Mapping[str, Any], node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(name) != value for name, value in (spec.get("nodeSelector") or {}).items()):
        return False
    terms = required_terms(spec)
    return not terms or any(_term_holds(term, labels, node["metadata"]["name"]) for term in terms)


def _term_holds(term: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    expressions = term.get("matchExpressions") or []
    fields = term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(_holds(e, labels.get(e["key"])) for e in expressions) and all(_holds(f, name) for f in fields)


def _holds(expression: Mapping[str, Any], value: str | None) -> bool:
    operator, values = expression.get("operator"), expression.get("values") or []
    if operator in {"Exists", "DoesNotExist"}:
        return (value is None) is (operator == "DoesNotExist")
    if operator == "NotIn":
        return bool(value not in values)
    if value is None:
        return False
    if operator in {"Gt", "Lt"}:
        try:
            ours, bound = int(value), int(values[0])
        except (ValueError, IndexError):
            return False
        return ours > bound if operator == "Gt" else ours < bound
    return bool(operator == "In" and value in values)


def _shortages(spec: Mapping[str, Any], node: Object, used: Amounts) -> list[str]:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    reasons = []
    if used.get("pods", Decimal(0)) + 1 > parse_quantity(allocatable.get("pods", "0")):
        reasons.append("Too many pods")
    for resource, amount in sorted(requests(spec).items()):
        room = parse_quantity(allocatable.get(resource, "0")) - used.get(resource, Decimal(0))
        if amount > 0 and amount > room:
            reasons.append(f"Insufficient {resource}")
    return reasons


def unschedulable_message(misfits_by_node: list[list[str]]) -> str:
    """Give the text of FailedScheduling: how many nodes said what, and whether preempting a Pod would help."""
    total = len(misfits_by_node)
    if not total:
        return "no nodes available to schedule pods"
    told = Counter(reason for reasons in misfits_by_node for reason in reasons)
    help_ = Counter(
        "No preemption victims found for incoming pod."
        if all(reason.startswith(("Insufficient", "Too many")) for reason in reasons)
        else "Preemption is not helpful for scheduling."
        for reasons in misfits_by_node
    )
    why = ", ".join(sorted(f"{count} {reason}" for reason, count in told.items()))
    preemption = ", ".join(sorted(f"{count} {text}" for text, count in help_.items())).replace("., ", ", ")
    return f"0/{total} nodes are available: {why}. preemption: 0/{total} nodes are available: {preemption}"
