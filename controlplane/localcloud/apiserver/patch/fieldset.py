"""Sets of field paths, kept in the FieldsV1 form in which managedFields are written.

A set is the trie that goes over the wire: `f:name` for a field, `k:{...}` for a list item by key, `v:...` for an
element of a set. An empty dictionary is a member without children; a member with children holds `.`. Working on this
form directly saves two conversions for each request, which is most of the cost of server-side apply in Python.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

FieldSet: TypeAlias = dict[str, Any]
SELF = "."
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_member(entry: FieldSet) -> bool:
    """Say whether the path of this entry is itself in the set."""
    return not entry or SELF in entry


def insert(target: FieldSet, path: tuple[str, ...], entry: FieldSet | None = None) -> None:
    """Add the path, and below it the members of `entry`."""
    node = target
    for element in path[:-1]:
        following = node.get(element)
        if following is None:
            following = node[element] = {}
        elif not following:
            following[SELF] = {}  # it was a member; it stays one now that it has children
        node = following
    last = path[-1]
    found = node.get(last)
    addition: FieldSet = {**entry, SELF: {}} if entry else {}
    node[last] = addition if found is None else _joined(found, addition)


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """Give the members of either set."""
    result = dict(left)
    for element, entry in right.items():
        found = result.get(element)
        result[element] = entry if found is None or found is entry else _joined(found, entry)
    return result


def _joined(left: FieldSet, right: FieldSet) -> FieldSet:
    if left == right:
        return left
    result = union(left, right)
    if is_member(left) or is_member(right):
        result[SELF] = {}
    return result


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Give the members of the left set that are not in the right one."""
    result: FieldSet = {}
    for element, entry in left.items():
        if element == SELF:
            continue
        other = right.get(element)
        if other is None:
            result[element] = entry
            continue
        rest = difference(entry, other)
        _put(result, element, rest, member=is_member(entry) and not is_member(other))
    return result


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """Give the members of both sets."""
    result: FieldSet = {}
    for element, entry in left.items():
        other = right.get(element)
        if element == SELF or other is None:
            continue
        _put(result, element, intersection(entry, other), member=is_member(entry) and is_member(other))
    return result


def _put(result: FieldSet, element: str, below: FieldSet, *, member: bool) -> None:
    if below:
        if member:
            below[SELF] = {}
        result[element] = below
    elif member:
        result[element] = {}


def paths(fields: FieldSet, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give all members: at each level the members first, then what lies below, both in order."""
    ordered = sorted((element for element in fields if element != SELF), key=_order)
    for element in ordered:
        if is_member(fields[element]):
            yield (*prefix, element)
    for element in ordered:
        yield from paths(fields[element], (*prefix, element))


def _order(element: str) -> tuple[int, str]:
    return "fkvi".index(element[0]), element[2:]


def path_text(path: tuple[str, ...]) -> str:
    """Write a path as conflicts name it: `.spec.containers[name="x"].image`."""
    return "".join(_element_text(element) for element in path)


def _element_text(element: str) -> str:
    kind, value = element[0], element[2:]
    if kind == "f":
        return f".{value}"
    if kind == "k":
        pairs = sorted(json.loads(value).items())
        return "[" + ",".join(f"{key}={json.dumps(one, ensure_ascii=False)}" for key, one in pairs) + "]"
    return f"[={value}]" if kind == "v" else f"[{value}]"
