"""The published OpenAPI definitions of Kubernetes, read lazily and compiled into nodes.

The `kubernetes-validate` distribution carries them for each release; the newest present is used. The raw file is
dropped again after the compilation, because keeping it would cost more memory than everything else in this package.
"""

import importlib.util
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from controlplane.localcloud.apiserver.schema.node import Node

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_SPECIAL: dict[str, Any] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intstr",
    _META + "Time": "time",
    _META + "MicroTime": "microtime",
    _META + "FieldsV1": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "any",
}
# The published JSON leaves schema defaults out, and list-map keys need this one: ports are keyed by port and protocol.
_KEY_DEFAULTS = {"protocol": "TCP"}


def definitions_file() -> Path:
    """Find the definitions of the newest Kubernetes release that is installed."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package kubernetes-validate is missing: install gpu-hunter[local]")
    root = Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema"
    versions = [
        (tuple(map(int, match.groups())), folder) for folder in root.iterdir() if (match := _version(folder.name))
    ]
    return max(versions)[1] / "_definitions.json"


def _version(name: str) -> re.Match[str] | None:
    return re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)-local", name)


def raw_definitions() -> dict[str, Any]:
    """Read all definitions with their prose; not cached on purpose."""
    loaded: dict[str, Any] = orjson.loads(definitions_file().read_bytes())["$defs"]
    return loaded


@lru_cache(maxsize=1)
def release() -> str:
    """Name the Kubernetes release of the definitions, such as `1.37.0`."""
    return definitions_file().parent.name.removeprefix("v").removesuffix("-local")


class Compiler:
    """Turns definitions into nodes, each once."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions
        self._nodes: dict[str, Node] = {}

    def compile(self, names: Iterable[str]) -> dict[str, Node]:
        """Give the nodes of these definitions; a definition that does not exist is left out."""
        return {name: self._named(name) for name in names if name in self._definitions}

    def _named(self, name: str) -> Node:
        found = self._nodes.get(name)
        if found is None:
            found = self._nodes[name] = Node(name=name.rsplit(".", 1)[-1])
            special = _SPECIAL.get(name)
            if special is not None:
                found.shape = special
            else:
                self._fill(found, self._definitions[name])
        return found

    def _node(self, schema: dict[str, Any], name: str) -> Node:
        reference = schema.get("$ref")
        if reference is None:
            node = Node(name=name)
            self._fill(node, schema)
            return node
        node = self._named(reference.rsplit("/", 1)[-1])
        if schema.get("x-kubernetes-map-type") == "atomic" or "x-kubernetes-patch-strategy" in schema:
            node = _variant(node, schema)
        return node

    def _fill(self, node: Node, schema: dict[str, Any]) -> None:
        kinds = schema.get("type")
        kind = kinds[0] if isinstance(kinds, list) else kinds
        node.format = schema.get("format", "")
        node.required = tuple(schema.get("required", ()))
        if kind == "object":
            self._fill_object(node, schema)
        elif kind == "array":
            node.shape = "array"
            node.items = self._node(schema["items"], node.name)
            node.list_type = schema.get("x-kubernetes-list-type", "")
            node.list_keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
            node.key_defaults = {key: value for key, value in _KEY_DEFAULTS.items() if key in node.list_keys}
            _strategic(node, schema)
        elif kind == "string":
            node.shape = "bytes" if node.format == "byte" else "string"
        elif kind in ("integer", "number", "boolean"):
            node.shape = kind

    def _fill_object(self, node: Node, schema: dict[str, Any]) -> None:
        properties = schema.get("properties")
        values = schema.get("additionalProperties")
        node.atomic = schema.get("x-kubernetes-map-type") == "atomic"
        _strategic(node, schema)
        if properties is not None:
            node.shape = "object"
            node.fields = {key: self._node(value, node.name) for key, value in properties.items()}
        elif isinstance(values, dict):
            node.shape = "map"
            node.items = self._node(values, node.name)
        else:
            node.shape = "object"  # a struct without fields, such as an empty `sleep` source


def _strategic(node: Node, schema: dict[str, Any]) -> None:
    strategy = schema.get("x-kubernetes-patch-strategy", "").split(",")
    node.retain_keys = "retainKeys" in strategy
    if "merge" in strategy:
        node.merge_key = schema.get("x-kubernetes-patch-merge-key", "")
        # Lists of primitives that merge have no key; SMP and SSA agree that they are sets.
        if not node.merge_key and node.shape == "array" and not node.list_type:
            node.list_type = "set"
        elif node.merge_key and node.shape == "array" and not node.list_type:
            node.list_type, node.list_keys = "map", (node.merge_key,)


def _variant(node: Node, schema: dict[str, Any]) -> Node:
    copy = Node(node.shape, node.name)
    for slot in Node.__slots__:
        setattr(copy, slot, getattr(node, slot))
    copy.atomic = copy.atomic or schema.get("x-kubernetes-map-type") == "atomic"
    if "retainKeys" in schema.get("x-kubernetes-patch-strategy", ""):
        copy.retain_keys = True
    return copy
