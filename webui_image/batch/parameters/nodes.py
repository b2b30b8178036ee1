"""A file's content with the line of each part, whatever its format: what YAML, JSON and CSV have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST_NODES = 1_000_000  # values in a file, those that aliases repeat included
DEEPEST = 12  # lists and mappings inside each other; the format needs five


class Plain(str):
    """A value written without quotes (YAML, CSV): whether it is text, a number or yes and no is for its key to say."""

    __slots__ = ()


@dataclass(slots=True)
class Node:
    """A value and where it stands: `list[Node]`, `dict[str, Node]`, or a scalar."""

    value: Any
    file: str
    line: int  # of its key in a mapping, of itself elsewhere
    weight: int = 1  # nodes beneath, itself included

    @property
    def absent(self) -> bool:
        """Whether nothing was written: an empty cell, `key:` alone, null."""
        return self.value is None or (isinstance(self.value, Plain) and self.value in _NOTHING)

    def describe(self) -> str:
        """Say in a word what it is."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        if isinstance(self.value, Plain | str):
            return "text"
        if isinstance(self.value, bool):
            return "true or false"
        return "nothing" if self.value is None else "a number"


_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
