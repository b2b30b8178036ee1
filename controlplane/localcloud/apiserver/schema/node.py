"""What the API server knows of one field, compiled from OpenAPI into a small graph.

The published definitions are nine megabytes as dictionaries, most of it prose. Requests need only the shape of a field
and how its lists and maps merge, so that is all a `Node` keeps; descriptions are read again where a client asks for the
OpenAPI document. Nodes may form cycles (a JSON schema holds JSON schemas), therefore they are filled in after creation.
"""

from typing import Any, Literal, TypeAlias

Shape: TypeAlias = Literal[
    "object",
    "map",
    "array",
    "string",
    "integer",
    "number",
    "boolean",
    "quantity",
    "intstr",
    "time",
    "microtime",
    "bytes",
    "any",
]


class Node:
    """One type of the schema: its shape, its children, and its merge behaviour."""

    __slots__ = (
        "atomic",
        "fields",
        "format",
        "items",
        "key_defaults",
        "list_keys",
        "list_type",
        "merge_key",
        "name",
        "nullable",
        "preserve_unknown",
        "required",
        "retain_keys",
        "rules",
        "shape",
    )

    def __init__(self, shape: Shape = "any", name: str = "") -> None:
        self.shape: Shape = shape
        self.name = name  # the Go-like type name, for decoding errors
        self.fields: dict[str, Node] = {}
        self.items: Node | None = None  # elements of an array, values of a map
        self.required: tuple[str, ...] = ()
        self.format = ""
        self.atomic = False  # maps: replaced as a whole; lists: neither map nor set
        self.list_type = ""  # "map", "set", "atomic" or ""
        self.list_keys: tuple[str, ...] = ()
        self.key_defaults: dict[str, Any] = {}
        self.merge_key = ""  # strategic merge: lists are merged by this key; "" with list_type "set" merges primitives
        self.retain_keys = False
        self.nullable = False
        self.preserve_unknown = False
        self.rules: dict[str, Any] | None = None  # custom resources only: the JSON schema to validate against

    def child(self, key: str) -> "Node | None":
        """Give the node of a field or map entry, None where it is unknown."""
        return self.fields.get(key) or self.items if self.shape != "array" else self.items

    @property
    def is_map_like(self) -> bool:
        """Say whether values are JSON objects with known meaning."""
        return self.shape in ("object", "map")


ANY = Node("any")
