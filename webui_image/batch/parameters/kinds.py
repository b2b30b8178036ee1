"""What a single value can be: each kind checks a node, gives the value, and knows its part of the JSON Schema."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from webui_image.batch.parameters.limits import LARGEST_SIDE, SIDE_STEP, SMALLEST_SIDE, Names
from webui_image.batch.parameters.nodes import Node, Plain
from webui_image.batch.parameters.problems import Wrong, near, quoted

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}\.?[0-9]{0,30}|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")
_NOT_FINITE = {"nan", ".nan", "inf", ".inf", "infinity", "-inf", "-.inf", "-infinity", "+inf", "+.inf"}
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NOTHING = {"false", "no", "off", "0", "none", "automatic", ""}
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Kind(Protocol):
    """One kind of value."""

    def check(self, node: Node, names: Names) -> Any:
        """Give the value. Raises Wrong."""
        ...

    def schema(self) -> dict[str, Any]:
        """Describe it in JSON Schema."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """Words, at most `longest` characters."""

    longest: int

    def check(self, node: Node, names: Names) -> str:  # noqa: ARG002
        """Give the text."""
        text = node.value
        if not isinstance(text, str):
            raise Wrong(f"must be text, not {node.describe()}", 'put it into "quotes"')
        if len(text) > self.longest:
            raise Wrong(f"{len(text):,} characters", f"use at most {self.longest:,}")
        found = _CONTROL.search(text)
        if found:
            raise Wrong(f"holds the control character {found.group()!r}", "take it out")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Wrong("holds half of a surrogate pair", "write the whole character") from None
        return str(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.longest}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds."""

    smallest: int
    largest: int
    multiple: int = 1

    def check(self, node: Node, names: Names) -> int:  # noqa: ARG002
        """Give the number."""
        value = node.value
        if isinstance(value, Plain) and _WHOLE.fullmatch(value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"must be a whole number, not {shown(node)}", _number_remedy(node))
        if not self.smallest <= value <= self.largest:
            raise Wrong(f"{value} is out of bounds", f"use {self.smallest} to {self.largest}")
        if value % self.multiple:
            lower = value // self.multiple * self.multiple
            near_ones = [str(side) for side in (lower, lower + self.multiple) if self.smallest <= side <= self.largest]
            raise Wrong(f"{value} is no multiple of {self.multiple}", f"use {' or '.join(near_ones)}")
        return value

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "integer", "minimum": self.smallest, "maximum": self.largest}
        return schema | ({"multipleOf": self.multiple} if self.multiple > 1 else {})


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number within bounds."""

    smallest: float
    largest: float

    def check(self, node: Node, names: Names) -> float:  # noqa: ARG002
        """Give the number."""
        value = node.value
        if isinstance(value, Plain):
            if value.lower() in _NOT_FINITE:
                value = math.nan
            elif _NUMBER.fullmatch(value):
                value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong(f"must be a number, not {shown(node)}", _number_remedy(node))
        if not math.isfinite(value):
            raise Wrong("is not a finite number", f"use {self.smallest:g} to {self.largest:g}")
        if not self.smallest <= value <= self.largest:
            raise Wrong(f"{value:g} is out of bounds", f"use {self.smallest:g} to {self.largest:g}")
        return float(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.smallest, "maximum": self.largest}


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    def check(self, node: Node, names: Names) -> bool:  # noqa: ARG002
        """Give the answer."""
        value = node.value
        if isinstance(value, Plain) and value.lower() in _TRUTH:
            return _TRUTH[value.lower()]
        if isinstance(value, int) and value in {0, 1}:  # as A1111's API writes some of them
            return bool(value)
        if not isinstance(value, bool):
            raise Wrong(f"must be true or false, not {shown(node)}", "write true or false, without quotes")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Name:
    """A name from one of the lists in `Names`, whatever its case; any name where the list is not known."""

    listed: str = ""  # the attribute of Names; empty: what is known is asked elsewhere

    def check(self, node: Node, names: Names) -> str:
        """Give the name as it is listed."""
        text = Text(200).check(node, names).strip()
        known: tuple[str, ...] = getattr(names, self.listed) if self.listed else ()
        if not known or not text:
            return text
        found = {name.lower(): name for name in known}.get(text.lower())
        if found is None:
            raise Wrong(f"unknown name {quoted(text)}", near(text, known, f"use one of {', '.join(known[:40])}"))
        return found

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": 200}


@dataclass(frozen=True, slots=True)
class NotDone:
    """Something of A1111's that is not done here: it may be written as long as it asks for nothing."""

    def check(self, node: Node, names: Names) -> None:  # noqa: ARG002
        """Refuse what asks for something."""
        if node.value and str(node.value).lower() not in _NOTHING:
            raise Wrong("is not supported", "take it out")

    def schema(self) -> dict[str, Any]:
        return {"enum": [False, "", 0, [], {}, "None", "Automatic"]}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of few words, or the number that A1111 gives it."""

    options: type[IntEnum]

    def check(self, node: Node, names: Names) -> IntEnum:  # noqa: ARG002
        """Give the choice."""
        word = str(node.value).strip().lower().replace("_", " ")
        for option in self.options:
            if word in {option.name.lower().replace("_", " "), str(option.value)} and not isinstance(node.value, bool):
                return option
        words = [option.name.lower().replace("_", " ") for option in self.options]
        raise Wrong(f"unknown choice {shown(node)}", near(word, words, f"use one of {', '.join(words)}"))

    def schema(self) -> dict[str, Any]:
        words = [option.name.lower().replace("_", " ") for option in self.options]
        return {"enum": [*words, *(option.value for option in self.options)]}


@dataclass(frozen=True, slots=True)
class Path:
    """A file beside the parameters file or below it."""

    def check(self, node: Node, names: Names) -> str:
        """Give the path as written; whether it may be read is asked when it is."""
        text = Text(1_000).check(node, names)
        if not text.strip():
            raise Wrong("is empty", "name a file below the folder of the parameters file")
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": 1_000}


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height, as `640x384`."""

    def check(self, node: Node, names: Names) -> tuple[int, int]:  # noqa: ARG002
        """Give width and height."""
        match = re.fullmatch(r"\s*([0-9]{1,6})\s*[x*]\s*([0-9]{1,6})\s*", str(node.value))
        if match is None or not isinstance(node.value, str):
            raise Wrong(f"must be a size, not {shown(node)}", "write width x height, as in 640x384")
        width, height = int(match[1]), int(match[2])
        if not (SMALLEST_SIDE <= width <= LARGEST_SIDE and SMALLEST_SIDE <= height <= LARGEST_SIDE):
            raise Wrong(f"{width}x{height} is out of bounds", f"sides are {SMALLEST_SIDE} to {LARGEST_SIDE}")
        if width % SIDE_STEP or height % SIDE_STEP:
            raise Wrong(f"{width}x{height}: no multiple of {SIDE_STEP}", f"sides are multiples of {SIDE_STEP}")
        return width, height

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[0-9]+x[0-9]+$"}


def shown(node: Node) -> str:
    """Show a wrong value on one line."""
    return node.describe() if isinstance(node.value, list | dict) else quoted(node.value)


def _number_remedy(node: Node) -> str:
    text = node.value
    if isinstance(text, str) and not isinstance(text, Plain) and _NUMBER.fullmatch(text):
        return "take away the quotes"
    if isinstance(text, str) and re.fullmatch(r"[0-9]+,[0-9]+", text):
        return "write the decimal point as a point"
    return "write a number, without quotes"
