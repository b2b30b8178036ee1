"""The CustomResourceDefinition, made from the same models that check a file, so that the two cannot disagree.

A CRD takes a structural subset of OpenAPI v3: no references, no null type, exclusive bounds as flags. What pydantic
gives is brought into that form here. Optional sections get `default: {}`, since the API server fills in nested defaults
only below an object that is there.
"""

import json
from collections.abc import Mapping
from typing import Any

from controlplane.api.durations import format_duration, parse_duration
from controlplane.api.gpuservice import GPUServiceSpec
from controlplane.api.parse import KIND, VERSION
from controlplane.model.naming import GROUP

NAME = f"gpuservices.{GROUP}"
_DROPPED = frozenset({"title", "additionalProperties", "$defs"})
_TEXT = {"type": "string"}
_CONDITION = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": _TEXT,
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": _TEXT,
        "message": _TEXT,
        "observedGeneration": {"type": "integer"},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
    },
}
_COLUMNS = (
    ("Ready", "string", ".status.ready", "Replicas that serve, of those wanted"),
    ("Regions", "string", ".status.regions", "Regions that hold replicas"),
    ("GPUs", "string", ".status.accelerators", "GPU types held"),
    ("$/h", "string", ".status.hourlyCost", "Cost in USD an hour at the known prices"),
    ("Address", "string", ".status.address", "Where the service answers"),
    ("Age", "date", ".metadata.creationTimestamp", ""),
)
_WIDE_COLUMNS = (("Policy", "string", ".spec.policy.preset", "What is valued: low cost, or availability"),)


def custom_resource_definition() -> dict[str, Any]:
    """Give the CRD of GPUService as `kubectl apply` takes it."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}, "scale": _scale()},
        "additionalPrinterColumns": [
            *(_column(*column) for column in _COLUMNS),
            *({**_column(*column), "priority": 1} for column in _WIDE_COLUMNS),
        ],
        "schema": {"openAPIV3Schema": _schema()},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": "gpuservices",
                "singular": "gpuservice",
                "kind": KIND,
                "listKind": f"{KIND}List",
                "shortNames": ["gpus"],
                "categories": ["all"],
            },
            "versions": [version],
        },
    }
    unshared: dict[str, Any] = json.loads(json.dumps(definition))  # so that YAML shows no anchors
    return unshared


def _scale() -> dict[str, str]:
    return {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def _column(name: str, kind: str, path: str, description: str) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "description": description} if description else column


def _schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "GPUService runs a GPU web application wherever GPUs can be had, behind one address.",
        "required": ["spec"],
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object"},
            "spec": spec_schema(),
            "status": _status_schema(),
        },
    }


def _status_schema() -> dict[str, Any]:
    texts = dict.fromkeys(("ready", "regions", "accelerators", "hourlyCost", "address"), _TEXT)
    return {
        "type": "object",
        "description": "What stands now. Written by GPU Hunter; status.memory is its own.",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            **texts,
            "observedGeneration": {"type": "integer"},
            "replicas": {"type": "integer"},
            "conditions": {
                "type": "array",
                "items": _CONDITION,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        },
    }


def spec_schema() -> dict[str, Any]:
    """Give the structural schema of `spec`."""
    raw = GPUServiceSpec.model_json_schema(by_alias=True)
    return _structural(raw, raw.get("$defs", {}))


def _structural(node: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    node = _resolved(node, defs)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if "exclusiveMinimum" in result:
        result["minimum"] = result.pop("exclusiveMinimum")
        result["exclusiveMinimum"] = True
    if "default" in result:
        result["default"] = _default(result)
        if result["default"] is None:
            del result["default"]
    if "properties" in result:
        result["properties"] = {name: _property(child, defs) for name, child in result["properties"].items()}
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
