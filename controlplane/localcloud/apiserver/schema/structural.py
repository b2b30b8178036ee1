"""Validation of custom resources against their structural schema.

The messages are those of the reference's go-openapi validator. Rules in the Common Expression Language
(`x-kubernetes-validations`) are accepted in definitions but not evaluated.
"""

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import (
    TOO_LONG,
    TOO_MANY,
    FieldError,
    duplicate,
    invalid,
    not_supported,
    required,
)
from controlplane.localcloud.apiserver.schema.types import TypeInfo

_NOWHERE = "<nil>"  # failed junctors are told without a field
_ROOT = ("apiVersion", "kind", "metadata")


def validate_custom(info: TypeInfo, obj: Object) -> list[FieldError]:
    """Complain about a custom resource."""
    if not info.schema:
        return []
    schema = {**info.schema, "properties": dict(info.schema.get("properties") or {})}
    metadata = schema["properties"].pop("metadata", None)
    body = {key: value for key, value in obj.items() if key not in _ROOT}
    found = check(schema, body, "")
    if metadata:
        found += check({**metadata, "type": "object"}, obj.get("metadata") or {}, "metadata")
    return found


def check(schema: Any, value: Any, path: str) -> list[FieldError]:
    """Complain about a value that does not fit a schema."""
    if not isinstance(schema, dict):
        return []
    if value is None:
        return [] if schema.get("nullable") else _wrong_type(schema, value, path)
    wrong = _wrong_type(schema, value, path)
    found = _enumerated(schema, value, path)
    if wrong:
        return wrong + found
    if isinstance(value, dict):
        found += _object(schema, value, path)
    elif isinstance(value, list):
        found += _array(schema, value, path)
    elif isinstance(value, str):
        found += _string(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found += _number(schema, value, path)
    return found + _logic(schema, value, path)


def _named(path: str) -> str:
    return path or "<nil>"


def _word(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "object" if isinstance(value, dict) else "array"


def _wrong_type(schema: Any, value: Any, path: str) -> list[FieldError]:
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, int | str) and not isinstance(value, bool):
            return []
        return [
            FieldError("FieldValueTypeInvalid", _named(path), _word(value), _type_text(path, "integer,string", value))
        ]
    wanted = schema.get("type")
    found = _word(value)
    if not wanted or wanted == found or (wanted == "number" and found == "integer"):
        return []
    if wanted == "integer" and isinstance(value, float) and value.is_integer():
        return []
    return [FieldError("FieldValueTypeInvalid", _named(path), found, _type_text(path, wanted, value))]


def _type_text(path: str, wanted: str, value: Any) -> str:
    return f'{path} in body must be of type {wanted}: "{_word(value)}"'


def _enumerated(schema: Any, value: Any, path: str) -> list[FieldError]:
    allowed = schema.get("enum")
    if allowed is None or value in allowed:
        return []
    return [not_supported(_named(path), value, [one if isinstance(one, str) else json.dumps(one) for one in allowed])]


def _object(schema: Any, value: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    properties = schema.get("properties") or {}
    prefix = f"{path}." if path else ""
    found += [required(f"{prefix}{key}") for key in schema.get("required") or () if key not in value]
    extra = schema.get("additionalProperties")
    for key, child in value.items():
        if key in properties:
            found += check(properties[key], child, f"{prefix}{key}")
        elif isinstance(extra, dict):
            found += check(extra, child, f"{prefix}{key}")
    count = len(value)
    if count < schema.get("minProperties", 0):
        text = f"{path} in body should have at least {schema['minProperties']} properties"
        found.append(invalid(_named(path), count, text))
    if "maxProperties" in schema and count > schema["maxProperties"]:
        found.append(FieldError(TOO_MANY, _named(path), count, f"must have at most {schema['maxProperties']} items"))
    return found


def _array(schema: Any, value: list[Any], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for index, item in enumerate(value):
        found += check(schema.get("items"), item, f"{path}[{index}]")
    if len(value) < schema.get("minItems", 0):
        text = f"{path} in body should have at least {schema['minItems']} items"
        found.append(invalid(_named(path), len(value), text))
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        found.append(FieldError(TOO_MANY, _named(path), len(value), f"must have at most {schema['maxItems']} items"))
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set" or schema.get("uniqueItems"):
        found += _unique(value, path, lambda item: item)
    elif kind == "map":
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        found += _unique(value, path, lambda item: {key: item[key] for key in keys if key in item})
    return found


def _unique(value: list[Any], path: str, identity: Callable[[Any], Any]) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, item in enumerate(value):
        shown = identity(item) if isinstance(item, dict) else item
        text = json.dumps(shown, sort_keys=True)
        if text in seen:
            found.append(duplicate(f"{path}[{index}]", shown))
        seen.add(text)
    return found


def _string(schema: Any, value: str, path: str) -> list[FieldError]:
    """Complain about a text; the first rule that it breaks is told."""
    length = len(value)
    if "maxLength" in schema and length > schema["maxLength"]:
        return [FieldError(TOO_LONG, _named(path), "", f"may not be more than {schema['maxLength']} bytes")]
    if length < schema.get("minLength", 0):
        return [invalid(_named(path), value, f"{path} in body should be at least {schema['minLength']} chars long")]
    pattern = schema.get("pattern")
    if pattern and not _compiled(pattern).search(value):
        return [invalid(_named(path), value, f"{path} in body should match '{pattern}'")]
    kind = schema.get("format")
    if kind and not _has_format(kind, value):
        return [invalid(_named(path), value, f'{path} in body must be of type {kind}: "{value}"')]
    return []


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace(r"\z", r"\Z"), re.ASCII)


_FORMATS: dict[str, re.Pattern[str]] = {
    "uuid": re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)"),
    "duration": re.compile(
        r"[+-]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*)|\d+ ?[a-z]+"
    ),
    "email": re.compile(r"[^@\s]+@[^@\s]+"),
    "hostname": re.compile(
        r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)*\.?"
    ),
    "byte": re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+|/.*"),
}


def _has_format(kind: str, value: str) -> bool:
    """Check the formats that the reference knows; others are taken as they come."""
    if kind in ("ipv4", "ipv6", "ip"):
        return names.is_ip(value) and (kind == "ip" or (":" in value) == (kind == "ipv6"))
    if kind == "date":
        return _is_date(value)
    pattern = _FORMATS.get(kind)
    if pattern is None:
        return True
    return pattern.fullmatch(value) is not None and (kind != "date-time" or _is_date_time(value))


def _is_date(value: str) -> bool:
    try:
        return bool(date.fromisoformat(value))
    except ValueError:
        return False


def _is_date_time(value: str) -> bool:
    try:
        return bool(datetime.fromisoformat(value[:19]))
    except ValueError:
        return False


def _number(schema: Any, value: float, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    least, most, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if least is not None and (value < least or (schema.get("exclusiveMinimum") and value == least)):
        text = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        found.append(invalid(_named(path), value, f"{path} in body should be {text} {least}"))
    if most is not None and (value > most or (schema.get("exclusiveMaximum") and value == most)):
        text = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        found.append(invalid(_named(path), value, f"{path} in body should be {text} {most}"))
    if step and value % step:
        found.append(invalid(_named(path), value, f"{path} in body should be a multiple of {step}"))
    return found


def _logic(schema: Any, value: Any, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for child in schema.get("allOf") or ():
        found += check(child, value, path)
    if schema.get("anyOf") and not schema.get("x-kubernetes-int-or-string"):
        alternatives = [check(child, value, path) for child in schema["anyOf"]]
        if all(alternatives):
            found.append(invalid(_NOWHERE, "", f'"{path}" must validate at least one schema (anyOf)'))
            found += alternatives[0]
    if schema.get("oneOf"):
        alternatives = [check(child, value, path) for child in schema["oneOf"]]
        fitting = sum(not one for one in alternatives)
        if fitting != 1:
            verb = "Found none valid" if not fitting else f"Found {fitting} valid alternatives"
            found.append(invalid(_NOWHERE, "", f'"{path}" must validate one and only one schema (oneOf). {verb}'))
            if not fitting:
                found += alternatives[0]
    if schema.get("not") and not check(schema["not"], value, path):
        found.append(invalid(_NOWHERE, "", f'"{path}" must not validate the schema (not)'))
    return found
