"""Custom resources: from a CustomResourceDefinition to types, nodes, defaults.

A structural schema is compiled to the same nodes as the built-in definitions, so that pruning, strict decoding and
server-side apply need no second implementation; the schema itself stays at hand for validation and defaulting.
"""

import copy
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.node import Node
from controlplane.localcloud.apiserver.schema.types import ALL_VERBS, PrinterColumn, ScalePaths, TypeInfo, object_meta

_AGE = PrinterColumn("Age", "date", ".metadata.creationTimestamp")


def types_from_crd(crd: Object) -> list[TypeInfo]:
    """Give the served versions of a CustomResourceDefinition, the one that is stored marked."""
    spec = crd["spec"]
    return [_type(spec, version) for version in spec.get("versions", ()) if version.get("served")]


def _type(spec: Object, version: Object) -> TypeInfo:
    names = spec["names"]
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    subresources = version.get("subresources") or {}
    scale = subresources.get("scale")
    columns = tuple(_column(column) for column in version.get("additionalPrinterColumns") or ())
    return TypeInfo(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        namespaced=spec.get("scope") == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(name for name in ("scale", "status") if name in subresources),
        verbs=ALL_VERBS,
        list_kind=names.get("listKind") or f"{names['kind']}List",
        custom=True,
        storage=bool(version.get("storage")),
        deprecated=bool(version.get("deprecated")),
        printer_columns=columns or (_AGE,),
        scale=_scale(scale) if scale else None,
        schema=schema,
        custom_node=root_node(schema, names["kind"], preserve=bool(spec.get("preserveUnknownFields"))),
    )


def _column(column: Object) -> PrinterColumn:
    return PrinterColumn(
        column["name"],
        column["type"],
        column["jsonPath"],
        column.get("format", ""),
        column.get("description", ""),
        column.get("priority", 0),
    )


def _scale(scale: Object) -> ScalePaths:
    return ScalePaths(scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath", ""))


def root_node(schema: Any, kind: str, *, preserve: bool = False) -> Node:
    """Compile the schema of a whole object, with the metadata that every object has."""
    node = compile_schema(schema, kind)
    if node.shape == "any":
        node = Node("object", kind)
        node.preserve_unknown = True
    node.shape = "object"
    node.preserve_unknown = node.preserve_unknown or preserve
    node.fields = {**node.fields, "apiVersion": Node("string"), "kind": Node("string"), "metadata": object_meta()}
    return node


def compile_schema(schema: Any, name: str = "") -> Node:
    """Compile one structural schema."""
    node = Node("any", name)
    if not isinstance(schema, dict):
        return node
    node.rules = schema
    node.nullable = bool(schema.get("nullable"))
    node.preserve_unknown = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        node.shape = "intstr"
    elif kind == "array":
        _fill_array(node, schema, name)
    elif kind == "object" or "properties" in schema:
        _fill_object(node, schema, name)
    elif kind in ("string", "integer", "number", "boolean"):
        node.shape = kind
    return node


def _fill_array(node: Node, schema: Object, name: str) -> None:
    node.shape = "array"
    node.items = compile_schema(schema.get("items"), name)
    node.list_type = schema.get("x-kubernetes-list-type", "atomic")
    node.list_keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    properties = (schema.get("items") or {}).get("properties") or {}
    node.key_defaults = {
        key: properties[key]["default"] for key in node.list_keys if "default" in (properties.get(key) or {})
    }


def _fill_object(node: Node, schema: Object, name: str) -> None:
    node.atomic = schema.get("x-kubernetes-map-type") == "atomic"
    properties = schema.get("properties") or {}
    values = schema.get("additionalProperties")
    node.required = tuple(schema.get("required") or ())
    if isinstance(values, dict):
        node.shape, node.items = "map", compile_schema(values, name)
    elif values is True:
        node.shape, node.items = "map", Node("any")
    else:
        node.shape = "object"
    node.fields = {key: compile_schema(value, key) for key, value in properties.items()}
    if schema.get("x-kubernetes-embedded-resource"):
        node.fields = {
            **node.fields,
            "apiVersion": Node("string"),
            "kind": Node("string"),
            "metadata": object_meta(),
        }


def apply_defaults(info: TypeInfo, obj: Object) -> None:
    """Fill in the defaults of the schema, in place; a null where none is allowed gives way to its default."""
    if info.schema:
        _default(info.schema, obj)


def _default(schema: Any, value: Any) -> None:
    if not isinstance(schema, dict):
        return
    if isinstance(value, dict):
        _default_object(schema, value)
    elif isinstance(value, list):
        for item in value:
            _default(schema.get("items"), item)


def _default_object(schema: Any, value: Object) -> None:
    properties = schema.get("properties") or {}
    for key, child in properties.items():
        missing = key not in value or (value[key] is None and not child.get("nullable"))
        if missing and "default" in child:
            value[key] = copy.deepcopy(child["default"])
        elif key in value and value[key] is None and not child.get("nullable"):
            del value[key]  # pruned like the reference does: null means unset
        if key in value:
            _default(child, value[key])
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        for key, child_value in value.items():
            if key not in properties:
                _default(values, child_value)
