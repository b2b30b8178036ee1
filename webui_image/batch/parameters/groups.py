"""Values with parts: LoRAs with their weights, and keys that have keys of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webui_image.batch.parameters.kinds import Flag, Kind, Number
from webui_image.batch.parameters.limits import Names
from webui_image.batch.parameters.nodes import Node, Plain
from webui_image.batch.parameters.problems import Wrong, near, quoted
from webui_image.values.generation import Lora


@dataclass(frozen=True, slots=True)
class Loras:
    """LoRAs with their weights: `name: weight` pairs, a list of `{name, weight}`, or the text `name:0.8, other`."""

    def check(self, node: Node, names: Names) -> tuple[Lora, ...]:
        """Give them in the order written."""
        value = node.value
        if isinstance(value, str):
            return tuple(self._written(part, names, node) for part in value.split(",") if part.strip())
        if isinstance(value, dict):
            return tuple(self._lora(name, weight, names, f".{name}") for name, weight in value.items())
        if isinstance(value, list):
            return tuple(self._listed(item, names, f"[{at}]") for at, item in enumerate(value))
        raise Wrong(f"must be LoRAs, not {node.describe()}", "write `loras: {name: 0.8}`")

    def _written(self, part: str, names: Names, node: Node) -> Lora:
        name, _, weight = part.strip().rpartition(":") if ":" in part else (part.strip(), "", "1")
        return self._lora(name, Node(Plain(weight.strip()), node.file, node.line), names, "")

    def _listed(self, item: Node, names: Names, key: str) -> Lora:
        if isinstance(item.value, str):
            return self._written(item.value, names, item)
        if not isinstance(item.value, dict) or "name" not in item.value or set(item.value) - {"name", "weight"}:
            raise Wrong("must have a name and may have a weight", "write `{name: ..., weight: 0.8}`", key, item.line)
        weight = item.value.get("weight", Node(1.0, item.file, item.line))
        return self._lora(item.value["name"].value, weight, names, key)

    def _lora(self, name: Any, weight: Node, names: Names, key: str) -> Lora:
        if not isinstance(name, str) or not re.fullmatch(r"[^/\\:<>,\x00-\x1f]{1,200}", name.strip()):
            raise Wrong(f"{quoted(name)} is no LoRA's name", "name a listed LoRA, never a path", key, weight.line)
        try:
            return Lora(name.strip(), Number(-10, 10).check(weight, names))
        except Wrong as wrong:
            raise Wrong(f"its weight {wrong.message}", wrong.remedy, key, weight.line) from None

    def schema(self) -> dict[str, Any]:
        weight = Number(-10, 10).schema()
        pair = {"name": {"type": "string"}, "weight": weight}
        item = {"type": "object", "properties": pair, "required": ["name"], "additionalProperties": False}
        return {
            "anyOf": [
                {"type": "object", "additionalProperties": weight},
                {"type": "array", "items": {"anyOf": [item, {"type": "string"}]}},
                {"type": "string"},
            ]
        }


@dataclass(frozen=True, slots=True)
class Nested:
    """A mapping of its own, or true and false for "with defaults" and "not at all"."""

    keys: Mapping[str, Kind]

    def check(self, node: Node, names: Names) -> Any:
        """Give the keys that are written, checked; None for false."""
        if not isinstance(node.value, dict):
            if Flag().check(node, names):
                return {}
            return None
        values: dict[str, Any] = {}
        for key, inner in node.value.items():
            kind = self.keys.get(key)
            if kind is None:
                raise Wrong("unknown key", near(key, self.keys, f"use {', '.join(self.keys)}"), f".{key}", inner.line)
            if not inner.absent:
                try:
                    values[key] = kind.check(inner, names)
                except Wrong as wrong:
                    raise Wrong(wrong.message, wrong.remedy, f".{key}{wrong.key}", wrong.line or inner.line) from None
        return values

    def schema(self) -> dict[str, Any]:
        inner = {key: kind.schema() for key, kind in self.keys.items()}
        return {
            "anyOf": [{"type": "object", "properties": inner, "additionalProperties": False}, {"type": "boolean"}],
        }
