"""Strict reading of a YAML document: every complaint is one line with the file, the key, the fault and the remedy.

A value is read together with the place it stands at, so that no check can forget to say where. Unknown keys, wrong
types, repeated keys, NaN and infinity are faults: a scenario that is silently half understood is worse than none.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
D = TypeVar("D")


class ScenarioError(ValueError):
    """A scenario that cannot be used; the text is one line for the user."""


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that appears twice is a fault and not a silent overwrite."""


def _strict_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: the key {key!r} is not text; quote it")
        if key in seen:
            raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: the key '{key}' appears twice; keep one")
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)


def read_document(path: Path) -> "Place":
    """Read a YAML (or JSON) file into its outermost place."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError(f"{path}: no such file; give the path of a scenario file") from None
    except IsADirectoryError:
        raise ScenarioError(f"{path}: is a folder; give the path of a file in it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read ({_one_line(error)}); make it a readable UTF-8 file") from error
    try:
        document = yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ScenarioError(f"{path}: is not YAML ({_one_line(error)}); correct it there") from error
    return Place(path, "", document)


def _one_line(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()


class Place:
    """A value and where it stands."""

    def __init__(self, path: Path, key: str, value: Any) -> None:
        self.path = path
        self.key = key
        self.value = value

    def fault(self, problem: str, remedy: str) -> ScenarioError:
        """Give the complaint about this place."""
        return ScenarioError(f"{self.path}: {self.key or 'the document'}: {problem}; {remedy}")

    def _child(self, name: str | int, value: Any) -> "Place":
        step = f"[{name}]" if isinstance(name, int) else f".{name}" if self.key else name
        return Place(self.path, f"{self.key}{step}", value)

    def section(self, *, required: Iterable[str] = (), optional: Iterable[str] = ()) -> "Section":
        """Read a mapping whose keys are known."""
        return self.check(dict(self.entries()), required=required, optional=optional)

    def check(
        self, entries: "dict[str, Place]", *, required: Iterable[str] = (), optional: Iterable[str] = ()
    ) -> "Section":
        """Make a section of entries that were read already."""
        required = tuple(required)
        known = (*required, *optional)
        for name, place in entries.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
                raise place.fault("unknown key", hint)
        for name in required:
            if name not in entries:
                raise self._child(name, None).fault("is missing", "add it")
        return Section(self, entries)

    def entries(self) -> Iterator[tuple[str, "Place"]]:
        """Read a mapping with free keys."""
        if not isinstance(self.value, dict):
            raise self.fault(f"must be a mapping, not {_kind(self.value)}", "write 'key: value' lines under it")
        for name, value in self.value.items():
            yield name, self._child(name, value)

    def items(self) -> Iterator["Place"]:
        """Read a list."""
        if not isinstance(self.value, list):
            raise self.fault(f"must be a list, not {_kind(self.value)}", "write '- ' before each entry")
        for index, value in enumerate(self.value):
            yield self._child(index, value)

    def some(self) -> list["Place"]:
        """Read a list that is not empty."""
        places = list(self.items())
        if not places:
            raise self.fault("is an empty list", "name at least one")
        return places

    def text(self, pattern: str = r".+", what: str = "text") -> str:
        """Read text of a form."""
        if not isinstance(self.value, str):
            raise self.fault(f"must be {what}, not {_kind(self.value)}", "quote it if it looks like a number")
        if not re.fullmatch(pattern, self.value):
            raise self.fault(f"'{self.value}' is not {what}", "correct the spelling")
        return self.value

    def choice(self, values: Iterable[str], what: str) -> str:
        """Read one of some words."""
        values = tuple(values)
        text = self.text(what=what)
        if text not in values:
            raise self.fault(f"unknown {what} '{text}'", f"use one of {', '.join(values)}")
        return text

    def number(self, *, least: float = 0.0, most: float = math.inf, positive: bool = False) -> float:
        """Read a finite number within bounds."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.fault(f"must be a number, not {_kind(self.value)}", "write a plain number")
        if not math.isfinite(self.value):
            raise self.fault(f"{self.value} is not a usable number", "write a finite number")
        if positive and self.value <= 0:
            raise self.fault(f"{self.value} must be over 0", "raise it")
        if not least <= self.value <= most:
            bounds = f"at least {least:g}" if self.value < least else f"at most {most:g}"
            raise self.fault(f"{self.value} must be {bounds}", "bring it within the bound")
        return float(self.value)

    def integer(self, *, least: int = 0, most: float = math.inf) -> int:
        """Read a whole number within bounds."""
        number = self.number(least=least, most=most)
        if not isinstance(self.value, int):
            raise self.fault(f"{self.value} must be a whole number", "round it")
        return int(number)

    def flag(self) -> bool:
        """Read true or false."""
        if not isinstance(self.value, bool):
            raise self.fault(f"must be true or false, not {_kind(self.value)}", "write true or false")
        return self.value


class Section:
    """A mapping with known keys, all of which were checked to be known and the required ones to be there."""

    def __init__(self, place: Place, entries: dict[str, Place]) -> None:
        self.place = place
        self.entries = entries

    def __getitem__(self, name: str) -> Place:
        return self.entries[name]

    def get(self, name: str) -> Place | None:
        """Give the place under an optional key."""
        return self.entries.get(name)

    def read(self, name: str, read: Callable[[Place], T], default: D) -> T | D:
        """Read an optional key, or take the default."""
        place = self.entries.get(name)
        return default if place is None else read(place)


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true/false", int: "a number", float: "a number"}
    return "empty" if value is None else names.get(type(value), type(value).__name__)
