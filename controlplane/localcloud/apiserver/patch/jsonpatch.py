"""JSON patch (RFC 6902), with the server's answers to operations that do not apply."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.schema.errors import bad_request
from controlplane.localcloud.apiserver.schema.gojson import json_kind

_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
_MAX_OPERATIONS = 10_000


def json_patch(obj: Any, operations: Any) -> Any:
    """Give the patched object; 400 for a malformed patch, 422 for one that does not apply. `obj` is not changed."""
    if not isinstance(operations, list):
        raise bad_request(f"json: cannot unmarshal {json_kind(operations)} into Go value of type jsonpatch.Patch")
    if len(operations) > _MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {_MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", message)
    document = [copy.deepcopy(obj)]  # boxed, so that the root can be replaced too
    try:
        for operation in operations:
            _apply(document, operation)
    except InapplicableError as error:
        # The reference tells clients nothing more; the cause stays for whoever reads the traceback.
        text = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", text, details={}) from error
    return document[0]


class InapplicableError(ValueError):
    """An operation names a place that is not there, or a test failed."""


def _refuse(message: str) -> InapplicableError:
    return InapplicableError(message)


def _apply(document: list[Any], operation: Any) -> None:
    if not isinstance(operation, Mapping) or operation.get("op") not in _OPERATIONS:
        kind = operation.get("op") if isinstance(operation, Mapping) else operation
        raise _refuse(f"Unexpected kind: {kind}")
    name, path = operation["op"], operation.get("path")
    if not isinstance(path, str):
        raise _refuse(f"{name} operation does not have a path")
    if name in ("add", "replace", "test") and "value" not in operation:
        raise _refuse(f"{name} operation for path: {path} has no value")
    if name == "test":
        _test(document, path, operation["value"])
    elif name == "remove":
        _remove(document, path, "remove")
    elif name == "add":
        _add(document, path, copy.deepcopy(operation["value"]))
    elif name == "replace":
        _get(document, path, "replace")
        _set(document, path, copy.deepcopy(operation["value"]))
    else:
        source = operation.get("from")
        if not isinstance(source, str):
            raise _refuse(f"{name} operation does not have a from path")
        value = copy.deepcopy(_get(document, source, name))
        if name == "move":
            _remove(document, source, name)
        _add(document, path, value)


def _test(document: list[Any], path: str, expected: Any) -> None:
    try:
        found = _get(document, path, "test")
    except InapplicableError:
        if expected is None:  # what is not there equals null
            return
        raise
    if not _same(found, expected):
        raise _refuse(f"testing value {path} failed: test failed")


def _same(left: Any, right: Any) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def _parts(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/"):
        raise _refuse(f"invalid JSON pointer: {path}")
    return [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]


def _descend(container: Any, part: str, path: str, operation: str) -> Any:
    if isinstance(container, dict):
        if part not in container:
            raise _refuse(f"{operation} operation does not apply: doc is missing key: {path}: missing value")
        return container[part]
    if isinstance(container, list):
        return container[_index(container, part, path, operation, len(container) - 1)]
    raise _refuse(f"{operation} operation does not apply: doc is missing path: {path}: missing value")


def _index(container: list[Any], part: str, path: str, operation: str, last: int) -> int:
    if not (part.isdigit() or (part.startswith("-") and part[1:].isdigit())):
        raise _refuse(f'{operation} operation does not apply: strconv.Atoi: parsing "{part}": invalid syntax')
    index = int(part)
    if index < 0:
        index += last + 1
    if not 0 <= index <= last:
        raise _refuse(f"{operation} operation does not apply: doc is missing path: {path}: invalid index referenced")
    return index


def _get(document: list[Any], path: str, operation: str) -> Any:
    value = document[0]
    for part in _parts(path):
        value = _descend(value, part, path, operation)
    return value


def _parent(document: list[Any], path: str, operation: str) -> tuple[Any, str]:
    parts = _parts(path)
    if not parts:
        return document, "0"
    value = document[0]
    for part in parts[:-1]:
        value = _descend(value, part, path, operation)
    return value, parts[-1]


def _set(document: list[Any], path: str, value: Any) -> None:
    container, part = _parent(document, path, "replace")
    if isinstance(container, list):
        container[_index(container, part, path, "replace", len(container) - 1)] = value
    else:
        container[part] = value


def _add(document: list[Any], path: str, value: Any) -> None:
    container, part = _parent(document, path, "add")
    if container is document:
        document[0] = value
    elif isinstance(container, list):
        position = len(container) if part == "-" else _index(container, part, path, "add", len(container))
        container.insert(position, value)
    elif isinstance(container, dict):
        container[part] = value
    else:
        raise _refuse(f"add operation does not apply: doc is missing path: {path}: missing value")


def _remove(document: list[Any], path: str, operation: str) -> None:
    _get(document, path, operation)
    container, part = _parent(document, path, operation)
    if isinstance(container, list):
        del container[_index(container, part, path, operation, len(container) - 1)]
    elif isinstance(container, dict):
        del container[part]
