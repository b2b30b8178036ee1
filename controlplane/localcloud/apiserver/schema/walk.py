"""Reading a request body the way the server's typed decoders do.

Built-in kinds are decoded into Go structs: wrong JSON types are refused with 400, unknown fields and nulls vanish,
empty optional lists and maps are not written back, and quantities come back in canonical form. Custom resources are
only pruned here; their types are a matter of validation (422).
"""

import base64
import re
from collections.abc import Callable
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.schema.errors import bad_request
from controlplane.localcloud.apiserver.schema.gojson import DecodeError, json_kind
from controlplane.localcloud.apiserver.schema.node import Node
from controlplane.localcloud.apiserver.schema.quantity import FORMAT_MESSAGE, canonical, is_quantity
from controlplane.localcloud.apiserver.schema.times import read_micro_time, read_time
from controlplane.localcloud.apiserver.schema.types import TypeInfo, extra_node

_OMITTED_EMPTY = ("map", "array", "string", "bytes")
# Strings behind pointers, where "" is a value of its own.
_MEANINGFUL_EMPTY = frozenset(
    {"storageClassName", "holderIdentity", "preferredHolder", "apiGroup", "service", "nodeName"}
)


def unknown_fields(info: TypeInfo, obj: Any) -> list[str]:
    """List what strict field validation refuses: `unknown field "spec.foo"`."""
    found: list[str] = []
    _unknown(info.node, obj, "", found)
    return found


def strict_error(complaints: list[str]) -> ApiError:
    """Give the 400 of strict field validation."""
    return bad_request(f"strict decoding error: {', '.join(complaints)}")


def _unknown(node: Node, value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, dict) and node.shape in ("object", "map"):
        for key, child_value in value.items():
            child = node.fields.get(key) or node.items
            where = f"{path}.{key}" if path else key
            if child is not None:
                _unknown(child, child_value, where, found)
            elif not node.preserve_unknown:
                found.append(f'unknown field "{where}"')
    elif isinstance(value, list) and node.shape == "array" and node.items is not None:
        for index, item in enumerate(value):
            _unknown(node.items, item, f"{path}[{index}]", found)


def prune(info: TypeInfo, obj: Any) -> None:
    """Drop unknown fields, in place."""
    _prune(info.node, obj)


def _prune(node: Node, value: Any) -> None:
    if isinstance(value, dict) and node.shape in ("object", "map"):
        for key in list(value):
            child = node.fields.get(key) or node.items
            if child is not None:
                _prune(child, value[key])
            elif not node.preserve_unknown:
                del value[key]
    elif isinstance(value, list) and node.shape == "array" and node.items is not None:
        for item in value:
            _prune(node.items, item)


def decode(info: TypeInfo, obj: Any) -> Any:
    """Give the object as the server would have read it, without unknown fields; ApiError 400 where it cannot be read.

    Of a custom resource only metadata has Go types; the rest is pruned.
    """
    try:
        if not info.custom:
            return decode_node(info.node, obj)
        return _decode_custom(info.node, obj)
    except DecodeError as error:
        raise bad_request(
            f'{info.kind} in version "{info.version}" cannot be handled as a {info.kind}: {error}'
        ) from error


def decode_extra(definition: str, body: Any) -> Any:
    """Decode the body of a subresource, such as an Eviction; ApiError 400 where it cannot be read."""
    kind = definition.rpartition(".")[2]
    version = definition.rsplit(".", 2)[1]
    try:
        return decode_node(extra_node(definition), body)
    except DecodeError as error:
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {error}') from error


def _decode_custom(node: Node, obj: Any) -> Any:
    if not isinstance(obj, dict):
        raise DecodeError(f"json: cannot unmarshal {json_kind(obj)} into Go value of type map[string]interface {{}}")
    pruned = _copy(obj)
    _prune(node, pruned)
    if "metadata" in pruned:
        pruned["metadata"] = _decode(node.fields["metadata"], pruned["metadata"] or {}, "metadata", "ObjectMeta")
    return pruned


def decode_node(node: Node, value: Any) -> Any:
    """Decode a body that is no resource; DecodeError where it does not fit."""
    return _decode(node, value, "", "")


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(child) for key, child in value.items()}
    return [_copy(child) for child in value] if isinstance(value, list) else value


def _decode(node: Node, value: Any, path: str, owner: str) -> Any:
    return _DECODERS[node.shape](node, value, path, owner)


def _object(node: Node, value: Any, path: str, owner: str) -> Any:
    if not isinstance(value, dict):
        raise _mismatch(node, value, path, owner)
    result: dict[str, Any] = {}
    for key, child_value in value.items():
        child = node.fields.get(key)
        if child is None or child_value is None:
            continue
        decoded = _DECODERS[child.shape](child, child_value, f"{path}.{key}" if path else key, node.name)
        if decoded or child.shape not in _OMITTED_EMPTY or key in node.required or key in _MEANINGFUL_EMPTY:
            result[key] = decoded
    return result


def _map(node: Node, value: Any, path: str, owner: str) -> Any:
    if not isinstance(value, dict):
        raise _mismatch(node, value, path, owner)
    items = node.items
    if items is None:
        return _copy(value)
    if items.shape == "string":  # by far the most frequent: labels, annotations, data
        for child in value.values():
            if child is not None and not isinstance(child, str):
                raise _mismatch(items, child, path, owner)
        return {key: child or "" for key, child in value.items()}
    return {key: _DECODERS[items.shape](items, child, path, owner) for key, child in value.items() if child is not None}


def _array(node: Node, value: Any, path: str, owner: str) -> Any:
    if not isinstance(value, list):
        raise _mismatch(node, value, path, owner)
    items = node.items
    if items is None:
        return _copy(value)
    decoder = _DECODERS[items.shape]
    return [decoder(items, {} if child is None and items.is_map_like else child, path, owner) for child in value]


def _string(node: Node, value: Any, path: str, owner: str) -> Any:
    if not isinstance(value, str):
        raise _mismatch(node, value, path, owner)
    return value


def _bytes(node: Node, value: Any, path: str, owner: str) -> Any:
    text: str = _string(node, value, path, owner)
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        wrong = re.search(r"[^A-Za-z0-9+/]", text.rstrip("="))
        position = wrong.start() if wrong else len(text.rstrip("=")) // 4 * 4
        raise DecodeError(f"illegal base64 data at input byte {position}") from None
    return text


def _integer(node: Node, value: Any, path: str, owner: str) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    limit = 2**31 if node.format == "int32" else 2**63
    if isinstance(value, bool) or not isinstance(value, int) or not -limit <= value < limit:
        raise _mismatch(node, value, path, owner)
    return value


def _number(node: Node, value: Any, path: str, owner: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(node, value, path, owner)
    return value


def _boolean(node: Node, value: Any, path: str, owner: str) -> Any:
    if not isinstance(value, bool):
        raise _mismatch(node, value, path, owner)
    return value


def _quantity(node: Node, value: Any, path: str, owner: str) -> Any:
    if isinstance(value, str | int | float) and not isinstance(value, bool) and is_quantity(value):
        return canonical(str(value))
    raise DecodeError(FORMAT_MESSAGE)


def _int_or_string(node: Node, value: Any, path: str, owner: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DecodeError(f"json: cannot unmarshal {json_kind(value)} into Go value of type int32")
    return value


def _any(node: Node, value: Any, path: str, owner: str) -> Any:
    return _copy(value)


_DECODERS: dict[str, Callable[[Node, Any, str, str], Any]] = {
    "object": _object,
    "map": _map,
    "array": _array,
    "string": _string,
    "bytes": _bytes,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "quantity": _quantity,
    "intstr": _int_or_string,
    "time": read_time,
    "microtime": read_micro_time,
    "any": _any,
}


def _go_type(node: Node) -> str:
    if node.shape == "array" and node.items is not None:
        return "[]" + ("uint8" if node.items.shape == "bytes" else _go_type(node.items))
    if node.shape == "map" and node.items is not None:
        return "map[string]" + _go_type(node.items)
    return {
        "string": "string",
        "bytes": "[]uint8",
        "integer": node.format or "int64",
        "number": "float64",
        "boolean": "bool",
        "object": f"v1.{node.name}",
    }.get(node.shape, node.name)


def _mismatch(node: Node, value: Any, path: str, owner: str) -> DecodeError:
    word = json_kind(value)
    if word == "number" and node.shape == "integer":
        word = f"number {value}"
    where = f"Go struct field {owner}.{path}" if path else "Go value"
    return DecodeError(f"json: cannot unmarshal {word} into {where} of type {_go_type(node)}")
