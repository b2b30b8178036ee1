"""Strategic merge patch: lists that are maps in disguise are merged by their key.

Directives: `$patch: replace|delete|merge`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>` and
`$retainKeys`.
Custom resources do not know it; the HTTP layer answers 415 for them.
"""

from typing import Any

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.schema.errors import bad_request
from controlplane.localcloud.apiserver.schema.gojson import json_kind
from controlplane.localcloud.apiserver.schema.node import ANY, Node
from controlplane.localcloud.apiserver.schema.types import TypeInfo

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def strategic_merge_patch(info: TypeInfo, obj: Any, patch: Any) -> Object:
    """Give the patched object; neither argument is changed."""
    if not isinstance(patch, dict):
        raise bad_request(f"json: cannot unmarshal {json_kind(patch)} into Go value of type map[string]interface {{}}")
    result: Object = _merge_map(info.node, obj if isinstance(obj, dict) else {}, patch)
    return result


def _refuse(message: str) -> ApiError:
    return ApiError(500, "", message)


def _merge_map(node: Node, original: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch.get(_DIRECTIVE)
    if directive is not None:
        if directive == "replace":
            content: dict[str, Any] = _clean(node, {key: value for key, value in patch.items() if key != _DIRECTIVE})
            return content
        if directive == "delete":
            return {}
        if directive != "merge":
            raise _refuse(f"unknown patch type: {directive} in map: {_go(patch)}")
    result = dict(original)
    _retain(result, patch)
    for key, value in patch.items():
        if key.startswith(_DELETE):
            _delete_primitives(result, key.removeprefix(_DELETE), value)
        elif not key.startswith("$"):
            _merge_field(node, result, key, value)
    for key, value in patch.items():
        if key.startswith(_ORDER):
            _reorder(node, result, key.removeprefix(_ORDER), value, patch)
    return result


def _retain(result: dict[str, Any], patch: dict[str, Any]) -> None:
    retained = patch.get(_RETAIN)
    if retained is None:
        return
    present = {key for key in patch if not key.startswith("$") and patch[key] is not None}
    if not isinstance(retained, list) or not present <= set(retained):
        raise _refuse("the retainKeys list must contain all keys present in the patch")
    for key in [key for key in result if key not in retained]:
        del result[key]


def _merge_field(node: Node, result: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        result.pop(key, None)
        return
    child = node.fields.get(key) or node.items or ANY
    original = result.get(key)
    if isinstance(value, dict) and value.get(_DIRECTIVE) == "delete" and child.shape != "any":
        result.pop(key, None)
    elif isinstance(value, dict) and child.shape != "any":
        result[key] = _merge_map(child, original if isinstance(original, dict) else {}, value)
    elif isinstance(value, list):
        result[key] = _merge_list(child, original if isinstance(original, list) else [], value)
    else:
        result[key] = value


def _clean(node: Node, value: Any) -> Any:
    """Take a patch's value as new content: without directives and nulls."""
    if isinstance(value, dict):
        return {
            key: _clean(node.fields.get(key) or node.items or ANY, child)
            for key, child in value.items()
            if child is not None and not key.startswith("$")
        }
    if isinstance(value, list):
        items = node.items or ANY
        return [_clean(items, item) for item in value if not (isinstance(item, dict) and _DIRECTIVE in item)]
    return value


def _merge_list(node: Node, original: list[Any], patch: list[Any]) -> list[Any]:
    items = node.items or ANY
    if node.merge_key and items.is_map_like:
        return _merge_objects(node, items, original, patch)
    if node.list_type == "set" and not items.is_map_like:
        return list(dict.fromkeys([*original, *patch]))
    return [_clean(items, item) for item in patch if not (isinstance(item, dict) and item.get(_DIRECTIVE) == "replace")]


def _merge_objects(node: Node, items: Node, original: list[Any], patch: list[Any]) -> list[Any]:
    key = node.merge_key
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return [_clean(items, item) for item in patch if not (isinstance(item, dict) and _DIRECTIVE in item)]
    result = list(original)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise _refuse(f"map: {_go(item)} does not contain declared merge key: {key}")
        matches = [index for index, one in enumerate(result) if isinstance(one, dict) and one.get(key) == item[key]]
        if item.get(_DIRECTIVE) == "delete":
            result = [one for index, one in enumerate(result) if index not in matches]
        elif matches:
            result[matches[0]] = _merge_map(items, result[matches[0]], item)
        else:
            result.append(_merge_map(items, {}, item))
    return result


def _go(item: Any) -> str:
    if isinstance(item, dict):
        return "map[" + " ".join(f"{key}:{value}" for key, value in sorted(item.items())) + "]"
    return str(item)


def _delete_primitives(result: dict[str, Any], key: str, values: Any) -> None:
    present = result.get(key)
    if isinstance(present, list) and isinstance(values, list):
        result[key] = [value for value in present if value not in values]


def _reorder(node: Node, result: dict[str, Any], key: str, order: Any, patch: dict[str, Any]) -> None:
    child = node.fields.get(key)
    present = result.get(key)
    if child is None or not isinstance(order, list):
        return
    _check_order(child.merge_key, patch.get(key), order)
    if not isinstance(present, list):
        return
    if child.merge_key:
        wanted = [one.get(child.merge_key) for one in order if isinstance(one, dict)]
        names = [one.get(child.merge_key) for one in present]
    elif child.list_type == "set":
        wanted, names = order, present
    else:
        return
    result[key] = _ordered(present, names, wanted)


def _check_order(key: str, patch: Any, order: list[Any]) -> None:
    """Refuse a patch whose list contradicts the order that it asks for."""
    listed = [one for one in patch or () if not (isinstance(one, dict) and _DIRECTIVE in one)]
    names = [one.get(key) if isinstance(one, dict) else one for one in listed]
    wanted = [one.get(key) if isinstance(one, dict) else one for one in order]
    if names != [name for name in wanted if name in names]:
        shown = f"[{' '.join(map(_go, listed))}]", f"[{' '.join(map(_go, order))}]"
        raise _refuse(f"The order in patch list:\n{shown[0]}\n doesn't match $setElementOrder list:\n{shown[1]}\n")


def _ordered(present: list[Any], names: list[Any], wanted: list[Any]) -> list[Any]:
    """Put the listed elements in the listed order; elements that only the server has keep their neighbours."""
    position = {name: index for index, name in enumerate(wanted)}
    listed = sorted((index for index, name in enumerate(names) if name in position), key=lambda i: position[names[i]])
    server_only = [index for index, name in enumerate(names) if name not in position]
    result: list[Any] = []
    while listed or server_only:
        # A server-only element goes before the first listed one that stood behind it in the live list.
        if server_only and (not listed or server_only[0] < listed[0]):
            result.append(present[server_only.pop(0)])
        else:
            result.append(present[listed.pop(0)])
    return result
