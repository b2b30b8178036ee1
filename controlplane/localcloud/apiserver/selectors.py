"""Label and field selectors: parsed once, then asked for every object.

The grammar of label selectors is apimachinery's, sets and inequalities included. Field selectors know, per resource,
exactly the fields that kube-apiserver knows; any other is refused as there.
"""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.errors import bad_request

Predicate: TypeAlias = Callable[[Object], bool]

_TOKEN = re.compile(r"\s*(==|!=|=|!|<|>|\(|\)|,|[^\s=!<>(),]+)")
_FIELD_TERM = re.compile(r"(.*?)(==|!=|=)(.*)", re.DOTALL)

_EVENT_FIELDS = (
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
    "reason", "reportingComponent", "source", "type",
)  # fmt: skip
_FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName",
    ),
    "events": _EVENT_FIELDS,
    "events.events.k8s.io": _EVENT_FIELDS,
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicasets.apps": ("status.replicas",),
    "replicationcontrollers": ("status.replicas",),
    "jobs.batch": ("status.successful",),
}  # fmt: skip


def label_predicate(selector: str) -> Predicate | None:
    """Give the test that a label selector means; None when it selects everything."""
    if not selector.strip():
        return None
    requirements = _Parser(selector).parse()

    def matches(obj: Object) -> bool:
        labels: dict[str, str] = obj["metadata"].get("labels") or {}
        return all(requirement(labels) for requirement in requirements)

    return matches


def matches_label_selector(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Ask a metav1.LabelSelector; None selects nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if not all(labels.get(key) == value for key, value in wanted.items()):
        return False
    return all(_expression(one, labels) for one in selector.get("matchExpressions") or ())


def selector_text(selector: dict[str, Any] | None) -> str:
    """Write a metav1.LabelSelector as a label selector string."""
    selector = selector or {}
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        key, operator, values = one["key"], one["operator"], ",".join(sorted(one.get("values") or ()))
        words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append(words.get(operator, f"!{key}"))
    return ",".join(terms)


def _expression(one: dict[str, Any], labels: dict[str, str]) -> bool:
    key: str = one["key"]
    operator: str = one["operator"]
    values: list[str] = one.get("values") or []
    if operator in ("In", "NotIn"):
        return (labels.get(key) in values) == (operator == "In")
    return (key in labels) == (operator == "Exists")


class _Parser:
    """A label selector, part by part."""

    def __init__(self, text: str) -> None:
        self._parts: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise bad_request(f"unable to parse requirement: {text}")
            self._parts.append(match.group(1))
            position = match.end()
        self._at = 0

    def parse(self) -> list[Callable[[dict[str, str]], bool]]:
        requirements = [self._requirement()]
        while (part := self._next()) is not None:
            if part != ",":
                raise bad_request(f"found '{part}', expected: ',' or 'end of string'")
            requirements.append(self._requirement())
        return requirements

    def _next(self) -> str | None:
        if self._at >= len(self._parts):
            return None
        self._at += 1
        return self._parts[self._at - 1]

    def _peek(self) -> str | None:
        return self._parts[self._at] if self._at < len(self._parts) else None

    def _word(self, expected: str) -> str:
        part = self._next()
        if part is None or part in ("=", "==", "!=", "!", "<", ">", "(", ")", ","):
            raise bad_request(f"unable to parse requirement: found '{part or ''}', expected: {expected}")
        return part

    def _requirement(self) -> Callable[[dict[str, str]], bool]:
        if self._peek() == "!":
            self._next()
            absent = self._word("identifier")
            return lambda labels: absent not in labels
        key = self._word("!, identifier, or 'end of string'")
        operator = self._peek()
        if operator is None or operator == ",":
            return lambda labels: key in labels
        self._next()
        if operator in ("in", "notin"):
            values = self._values()
            return (
                (lambda labels: labels.get(key) in values)
                if operator == "in"
                else (lambda labels: labels.get(key) not in values)
            )
        if operator in ("=", "==", "!="):
            value = self._value()
            return (
                (lambda labels: labels.get(key) != value)
                if operator == "!="
                else (lambda labels: labels.get(key) == value)
            )
        if operator in ("<", ">"):
            return _comparison(key, operator, self._word("identifier"))
        raise bad_request(f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt")

    def _value(self) -> str:
        return "" if self._peek() in (None, ",") else self._word("identifier")

    def _values(self) -> frozenset[str]:
        if self._next() != "(":
            raise bad_request("unable to parse requirement: expected: '('")
        values: set[str] = set()
        while True:
            part = self._next()
            if part is None:
                raise bad_request("unable to parse requirement: found '', expected: ',' or ')'")
            if part == ")":
                return frozenset(values)
            if part != ",":
                values.add(part)


def _comparison(key: str, operator: str, bound_text: str) -> Callable[[dict[str, str]], bool]:
    try:
        bound = int(bound_text)
    except ValueError:
        raise bad_request(f"for 'Gt', 'Lt' operators, the value must be an integer: {bound_text}") from None

    def compare(labels: dict[str, str]) -> bool:
        try:
            value = int(labels.get(key, ""))
        except ValueError:
            return False
        return value > bound if operator == ">" else value < bound

    return compare


def field_predicate(resource: str, selector: str) -> Predicate | None:
    """Give the test that a field selector means; None when it selects everything."""
    if not selector.strip():
        return None
    tests: list[tuple[str, bool, str]] = []
    for term in selector.split(","):
        match = _FIELD_TERM.fullmatch(term)
        if match is None:
            raise bad_request(f"invalid selector: '{selector}'; can't understand '{term}'")
        field, operator, value = match.groups()
        known = ("metadata.name", "metadata.namespace", *_FIELDS.get(resource, ()))
        if field not in known:
            raise _unknown_field(resource, field)
        tests.append((field, operator != "!=", value))

    def matches(obj: Object) -> bool:
        return all((field_value(resource, obj, field) == value) == equal for field, equal, value in tests)

    return matches


def _unknown_field(resource: str, field: str) -> ApiError:
    if resource in _FIELDS:
        return bad_request(f"field label not supported: {field}")
    text = f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'
    return bad_request(text)


def field_value(resource: str, obj: Object, field: str) -> str:
    """Give a selectable field as text, "" where it is not set."""
    if field == "source" and resource.startswith("events"):
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")
    if field == "status.successful":
        field = "status.succeeded"
    value: Any = obj
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.replicas": "0"}.get(field, "")
    return str(value)
