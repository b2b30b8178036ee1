"""Values with a schema: which fields they set, how two of them merge and differ.

These are the operations of structured-merge-diff. Maps merge key by key unless atomic, lists of type `map` by their
keys, lists of type `set` by value; everything else is a leaf. Where no schema is known, maps are granular and lists
are atomic.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controlplane.localcloud.apiserver.patch.fieldset import SELF, FieldSet, insert, is_member, path_text
from controlplane.localcloud.apiserver.schema.node import ANY, Node

_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode


def element_of(node: Node, item: Any) -> str:
    """Give the path element of one item of a `map` or `set` list."""
    if node.list_type == "set" or not isinstance(item, dict):
        return "v:" + _encode(item)
    keys: dict[str, Any] = {}
    for key in node.list_keys:
        value = item.get(key)
        if value is None:
            value = node.key_defaults.get(key)
        if value is not None:
            keys[key] = value
    return "k:" + _encode(keys)


def is_associative(node: Node) -> bool:
    """Say whether the list's items are told apart by key or value, not by position."""
    return node.list_type in ("map", "set")


def indexed(node: Node, items: list[Any]) -> dict[str, Any]:
    """Give the items by path element; of duplicates the first counts."""
    result: dict[str, Any] = {}
    for item in items:
        result.setdefault(element_of(node, item), item)
    return result


def set_of(node: Node, value: Any) -> FieldSet:
    """Give the set of fields that a value sets, an empty set for a leaf."""
    if isinstance(value, dict):
        return {} if node.atomic else _set_of_map(node, value)
    if isinstance(value, list) and is_associative(node):
        return _set_of_list(node, value)
    return {}


def _set_of_map(node: Node, value: dict[str, Any]) -> FieldSet:
    result: FieldSet = {}
    fields = node.fields
    for key, child_value in value.items():
        known = fields.get(key)
        child = known or node.items or ANY
        if child_value.__class__ is dict or child_value.__class__ is list:
            below = set_of(child, child_value)
            if not below and isinstance(child_value, list) and is_associative(child):
                continue  # an empty keyed list sets nothing
            if below and known is None:
                below[SELF] = {}  # entries of maps count themselves, fields of structs do not
            result["f:" + key] = below
        else:
            result["f:" + key] = {}
    return result


def _set_of_list(node: Node, value: list[Any]) -> FieldSet:
    result: FieldSet = {}
    items = node.items or ANY
    for item in value:
        below = set_of(items, item)
        if below:
            below[SELF] = {}
        result[element_of(node, item)] = below
    return result


def merge(node: Node, live: Any, applied: Any) -> Any:
    """Lay the applied value over the live one."""
    if live is None:
        return applied
    if isinstance(applied, dict) and isinstance(live, dict) and not node.atomic:
        result = dict(live)
        for key, value in applied.items():
            child = node.fields.get(key) or node.items or ANY
            result[key] = merge(child, live.get(key), value)
        return result
    if isinstance(applied, list) and isinstance(live, list) and is_associative(node):
        return _merge_lists(node, live, applied)
    return applied


def _merge_lists(node: Node, live: list[Any], applied: list[Any]) -> list[Any]:
    items = node.items or ANY
    present, wanted = indexed(node, live), indexed(node, applied)
    result: list[Any] = []
    order = list(wanted)
    position = 0
    # Shared elements stand in the applied order; what only the live list has keeps its place between them.
    for element, item in present.items():
        if element not in wanted:
            result.append(item)
            continue
        while position < len(order):
            following = order[position]
            position += 1
            result.append(merge(items, present.get(following), wanted[following]))
            if following == element or following in present:
                break
    result.extend(merge(items, present.get(following), wanted[following]) for following in order[position:])
    return result


@dataclass(slots=True)
class Difference:
    """What changed between two values."""

    added: FieldSet = field(default_factory=dict)
    modified: FieldSet = field(default_factory=dict)
    removed: FieldSet = field(default_factory=dict)


def compare(node: Node, old: Any, new: Any) -> Difference:
    """Tell the fields that were added, modified and removed."""
    result = Difference()
    _compare(node, old, new, (), result)
    return result


def _compare(node: Node, old: Any, new: Any, path: tuple[str, ...], result: Difference) -> None:
    if old == new and old.__class__ is new.__class__:
        return
    if isinstance(old, dict) and isinstance(new, dict) and not node.atomic:
        _compare_children(
            {"f:" + key: value for key, value in old.items()},
            {"f:" + key: value for key, value in new.items()},
            lambda element: node.fields.get(element[2:]) or node.items or ANY,
            path,
            result,
        )
    elif isinstance(old, list) and isinstance(new, list) and is_associative(node):
        items = node.items or ANY
        _compare_children(indexed(node, old), indexed(node, new), lambda _: items, path, result)
    elif path:
        insert(result.modified, path)


def _compare_children(
    old: dict[str, Any],
    new: dict[str, Any],
    child: Callable[[str], Node],
    path: tuple[str, ...],
    result: Difference,
) -> None:
    for element, value in new.items():
        below = (*path, element)
        if element in old:
            _compare(child(element), old[element], value, below, result)
        else:
            insert(result.added, below, set_of(child(element), value))
    for element, value in old.items():
        if element not in new:
            insert(result.removed, (*path, element), set_of(child(element), value))


def without(node: Node, value: Any, last: FieldSet, kept: FieldSet) -> Any:
    """Take away what `last` owned and nobody in `kept` owns any more; None where nothing remains.

    A removed item goes with everything below it, even what nobody owns. Structs named on the way to an owned field
    count as owned.
    """
    if isinstance(value, dict) and not node.atomic:
        entries = {"f:" + key: child for key, child in value.items()}
        remaining = _remaining(node, entries, last, kept)
        return {element[2:]: child for element, child in remaining.items()} if remaining or not entries else None
    if isinstance(value, list) and is_associative(node):
        entries = indexed(node, value)
        remaining = _remaining(node, entries, last, kept)
        return list(remaining.values()) if remaining or not entries else None
    return value


def _remaining(node: Node, entries: dict[str, Any], last: FieldSet, kept: FieldSet) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for element, value in entries.items():
        owned = last.get(element)
        if owned is None:
            result[element] = value
            continue
        named = element[0] == "f" and element[2:] in node.fields
        other = kept.get(element)
        still = other is not None and (named or is_member(other))
        if (named or is_member(owned)) and not still:
            continue
        child = (node.fields.get(element[2:]) if element[0] == "f" else None) or node.items or ANY
        rest = without(child, value, owned, other or {})
        if rest is not None:
            result[element] = rest
    return result


def misfit(node: Node, value: Any, path: str) -> str:
    """Say what does not fit the schema, in the reference's words; an empty text where all is well."""
    expected = _expected(node, value)
    if expected:
        return f"{path}: {expected}"
    if isinstance(value, dict):
        for key, child_value in value.items():
            child = node.fields.get(key) or node.items
            found = misfit(child, child_value, f"{path}.{key}") if child is not None else ""
            if found:
                return found
    elif isinstance(value, list) and node.items is not None:
        return _list_misfit(node, node.items, value, path)
    return ""


def _expected(node: Node, value: Any) -> str:
    shown = f"&value.valueUnstructured{{Value:{_encode(value)}}}"
    if value is None:
        return ""
    if node.shape in ("string", "bytes", "time", "microtime"):
        return "" if isinstance(value, str) else f"expected string, got {shown}"
    if node.shape in ("integer", "number"):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if fits else "expected numeric (int or float), got *value.valueUnstructured"
    if node.shape == "boolean":
        return "" if isinstance(value, bool) else f"expected boolean, got {shown}"
    if node.shape in ("object", "map"):
        return "" if isinstance(value, dict) else f"expected map, got &{{{value}}}"
    if node.shape == "array":
        return "" if isinstance(value, list) else f"expected list, got &{{{value}}}"
    return ""


def _list_misfit(node: Node, items: Node, value: list[Any], path: str) -> str:
    if not is_associative(node):
        return next((found for i, item in enumerate(value) if (found := misfit(items, item, f"{path}[{i}]"))), "")
    seen: set[str] = set()
    for item in value:
        element = element_of(node, item)
        if element in seen:
            return f"{path}: duplicate entries for key {path_text((element,))}"
        seen.add(element)
        found = misfit(items, item, path + path_text((element,)))
        if found:
            return found
    return ""
