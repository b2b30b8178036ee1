"""Compute Engine's `filter` parameter: `name = nvidia-l4`, `name eq "nvidia-.*"`, `(a = b) OR (c > 1)`, `NOT`.

Comparisons with `eq` and `ne` are regular expressions over the whole value; `=` and `!=` compare, `:` finds, and `*`
stands for anything. Parts that stand side by side are joined by AND, which binds less tightly than OR, as in the API's
own grammar.
"""

import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from controlplane.localcloud.gcp.errors import GoogleError

Test: TypeAlias = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(r'\s*(?:(\()|(\))|(!=|>=|<=|=|:|>|<)|"((?:[^"\\]|\\.)*)"|([^\s()=!<>:"]+))')
_WORD_OPERATORS = ("eq", "ne")


def parse(text: str) -> Test:
    """Make a test of a filter expression; raises INVALID_ARGUMENT in Compute's words."""
    if not text.strip():
        return lambda _: True
    parser = _Parser(text, _tokens(text))
    return parser.parse()


def _bad(text: str) -> GoogleError:
    message = f"Invalid value for field 'filter': '{text}'. Invalid list filter expression."
    return GoogleError("INVALID_ARGUMENT", message, "invalid")


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _bad(text)
        position = match.end()
        kinds = ("open", "close", "operator", "quoted", "word")
        found.append(
            next((kind, value) for kind, value in zip(kinds, match.groups(), strict=True) if value is not None)
        )
    return found


class _Parser:
    def __init__(self, text: str, tokens: list[tuple[str, str]]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0

    def parse(self) -> Test:
        test = self._conjunction()
        if self._next < len(self._tokens):
            raise _bad(self._text)
        return test

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._next += 1
        return token

    def _conjunction(self) -> Test:
        parts = [self._disjunction()]
        while self._peek()[0] not in ("end", "close"):
            if self._peek() == ("word", "AND"):
                self._take()
            parts.append(self._disjunction())
        return lambda item: all(part(item) for part in parts)

    def _disjunction(self) -> Test:
        parts = [self._term()]
        while self._peek() == ("word", "OR"):
            self._take()
            parts.append(self._term())
        return lambda item: any(part(item) for part in parts)

    def _term(self) -> Test:
        kind, value = self._take()
        if (kind, value) == ("word", "NOT"):
            inner = self._term()
            return lambda item: not inner(item)
        if kind == "open":
            inner = self._conjunction()
            if self._take()[0] != "close":
                raise _bad(self._text)
            return inner
        if kind != "word":
            raise _bad(self._text)
        return self._comparison(value)

    def _comparison(self, field: str) -> Test:
        kind, operator = self._take()
        if kind != "operator" and not (kind == "word" and operator in _WORD_OPERATORS):
            raise _bad(self._text)
        kind, literal = self._take()
        if kind not in ("word", "quoted"):
            raise _bad(self._text)
        literal = re.sub(r"\\(.)", r"\1", literal) if kind == "quoted" and operator not in _WORD_OPERATORS else literal
        try:
            matches = _matcher(operator, literal)
        except re.error as error:
            raise _bad(self._text) from error
        negative = operator in ("!=", "ne")
        return lambda item: any(map(matches, _values(item, field))) != negative


def _matcher(operator: str, literal: str) -> Callable[[Any], bool]:
    if operator in _WORD_OPERATORS:
        pattern = re.compile(literal)
        return lambda value: pattern.fullmatch(_text(value)) is not None
    if operator in ("=", "!=", ":"):
        wanted = f"*{literal}*" if operator == ":" and "*" not in literal else literal
        return lambda value: fnmatch.fnmatchcase(_text(value), wanted)
    compare: dict[str, Callable[[float, float], bool]] = {
        ">": lambda one, other: one > other,
        "<": lambda one, other: one < other,
        ">=": lambda one, other: one >= other,
        "<=": lambda one, other: one <= other,
    }
    chosen = compare[operator]
    return lambda value: _is_number(value) and _is_number(literal) and chosen(float(value), float(literal))


def _values(item: Any, field: str) -> list[Any]:
    """Give the values at a dotted path; a list on the way gives those of all its members."""
    values = [item]
    for part in field.split("."):
        next_values: list[Any] = []
        for value in values:
            found = value.get(part) if isinstance(value, Mapping) else None
            next_values.extend(found if isinstance(found, list) else [] if found is None else [found])
        values = next_values
    return values


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
