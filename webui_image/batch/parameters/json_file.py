"""JSON and JSON Lines with the line of each key, which `json.loads` does not keep."""

from __future__ import annotations

import json
import re
from typing import Any

from webui_image.batch.parameters.nodes import DEEPEST, MOST_NODES, Node
from webui_image.batch.parameters.problems import Problems, quoted

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?(?![0-9])")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "NaN": float("nan"), "Infinity": float("inf")}
_WORD = re.compile("-?" + "|".join(_WORDS))


_scan_string = getattr(json.decoder, "scanstring")  # noqa: B009 - public since Python 2, and not in its type hints


class _NotJson(Exception):  # noqa: N818 - becomes a Problem at once
    def __init__(self, line: int, message: str, remedy: str) -> None:
        super().__init__(message)
        self.line, self.message, self.remedy = line, message, remedy


def read(text: str, file: str, problems: Problems) -> Node | None:
    """Read one JSON value; None where it is none."""
    return _read(text, file, 1, problems)


def read_lines(text: str, file: str, problems: Problems) -> Node | None:
    """Read JSON Lines as a list; a line that is no JSON is a problem, and the others are read on."""
    items: list[Node] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            node = _read(line, file, number, problems)
            if node is not None:
                items.append(node)
    return Node(items, file, 1)


def _read(text: str, file: str, line: int, problems: Problems) -> Node | None:
    scanner = _Scanner(text, file, line)
    try:
        return scanner.whole()
    except _NotJson as error:
        problems.add(file, error.line, "", f"not JSON: {error.message}", error.remedy)
        return None


class _Scanner:
    def __init__(self, text: str, file: str, line: int) -> None:
        self._text = text
        self._file = file
        self._line = line
        self._at = 0
        self._count = 0

    def whole(self) -> Node:
        """Read the value that the text is."""
        node = self._value(0)
        if self._next():
            raise self._wrong("text after the end", "take it out, or put a comma before it")
        return node

    def _next(self) -> str:
        match = _SPACE.match(self._text, self._at)
        assert match is not None  # noqa: S101 - the expression matches nothing as well
        if match.end() > self._at:
            self._line += match.group().count("\n")
            self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> Node:
        self._count += 1
        if depth > DEEPEST or self._count > MOST_NODES:
            raise self._wrong("too deep or too many values", f"at most {DEEPEST} levels and {MOST_NODES:,} values")
        first = self._next()
        line = self._line
        if first == "{":
            return Node(self._mapping(depth), self._file, line)
        if first == "[":
            return Node(self._items(depth), self._file, line)
        return Node(self._string() if first == '"' else self._word(), self._file, line)

    def _string(self) -> str:
        try:
            text, self._at = _scan_string(self._text, self._at + 1)
        except json.JSONDecodeError as error:
            raise self._wrong(
                error.msg[:1].lower() + error.msg[1:], "close the quotes; write \\n for a new line"
            ) from None
        return str(text)

    def _word(self) -> Any:
        number = _NUMBER.match(self._text, self._at)
        if number:
            self._at = number.end()
            return float(number.group()) if number.group(1) or number.group(2) else int(number.group())
        word = _WORD.match(self._text, self._at)
        if word is None:
            found = self._text[self._at : self._at + 12].split("\n")[0]
            raise self._wrong(f"unexpected {quoted(found)}" if found else "ends too early", "look at commas and quotes")
        self._at = word.end()
        return _WORDS[word.group().lstrip("-")]

    def _items(self, depth: int) -> list[Node]:
        self._at += 1
        items: list[Node] = []
        while self._next() != "]" or items:
            items.append(self._value(depth + 1))
            if self._separator("]"):
                return items
        self._at += 1
        return items

    def _mapping(self, depth: int) -> dict[str, Node]:
        self._at += 1
        mapping: dict[str, Node] = {}
        first = self._next()
        while first != "}" or mapping:
            if first != '"':
                raise self._wrong("a key without quotes", 'write "key": value, and no comma after the last')
            line = self._line
            key = self._string()
            if self._next() != ":":
                raise self._wrong(f"no colon after {quoted(key)}", 'write "key": value')
            self._at += 1
            node = self._value(depth + 1)
            if key in mapping:
                raise self._wrong(f"{quoted(key)} stands twice in one mapping", "keep one")
            node.line = line
            mapping[key] = node
            if self._separator("}"):
                return mapping
            first = self._next()
        self._at += 1
        return mapping

    def _separator(self, end: str) -> bool:
        found = self._next()
        if found not in {",", end} or not found:
            raise self._wrong(f"no comma and no {end} after a value", f"put a comma or {end} before this")
        self._at += 1
        return found == end

    def _wrong(self, message: str, remedy: str) -> _NotJson:
        return _NotJson(self._line, message, remedy)
