"""What pydantic says of a model, brought into the subset of OpenAPI v3 that a CustomResourceDefinition takes.

No references, no null type, exclusive bounds as flags. Optional sections get `default: {}`, since the API server fills
in nested defaults only below an object that is there.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from controlplane.api.durations import format_duration, parse_duration

_DROPPED = frozenset({"title", "$defs", "additionalProperties"})


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """Give the structural schema of a model."""
    raw = model.model_json_schema(by_alias=True)
    return _structural(raw, raw.get("$defs", {}))


def _structural(node: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    node = _resolved(node, defs)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if "exclusiveMinimum" in result:
        result["minimum"] = result.pop("exclusiveMinimum")
        result["exclusiveMinimum"] = True
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if "default" in result:
        result["default"] = _default(result)
        if result["default"] is None:
            del result["default"]
    if "properties" in result:
        result["properties"] = {name: _property(child, defs) for name, child in result["properties"].items()}
    if isinstance(node.get("additionalProperties"), Mapping):  # a map of the user's own keys
        result["additionalProperties"] = _structural(node["additionalProperties"], defs)
    if "items" in result:
        result["items"] = _structural(result["items"], defs)
    return result


def _property(node: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    child = _structural(node, defs)
    optional_section = child.get("type") == "object" and "default" not in child and not child.get("nullable")
    return {**child, "default": {}} if optional_section and not child.get("required") else child


def _resolved(node: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    """Follow references and fold `X or null` into a nullable X; keys beside them (description, default) win.

    An enumeration stays not nullable: its check would refuse null, whereas a null that may not be is pruned before it.
    """
    merged = dict(node)
    if "anyOf" in merged:
        choices = [choice for choice in merged.pop("anyOf") if choice.get("type") != "null"]
        merged = {**choices[0], **merged}
        if "enum" not in merged:
            merged["nullable"] = True
    if "$ref" in merged:
        target = defs[merged.pop("$ref").rsplit("/", 1)[-1]]
        merged = _resolved({**target, **merged}, defs)
    return merged


def _default(node: Mapping[str, Any]) -> Any:
    """Give the default in the form users write: pydantic writes a duration as ISO 8601, Kubernetes users as 15m."""
    value = node["default"]
    if isinstance(value, str) and value.startswith("P") and node.get("pattern"):
        return format_duration(_iso(value))
    return value


def _iso(text: str) -> Any:
    return parse_duration(text.removeprefix("PT").lower())
