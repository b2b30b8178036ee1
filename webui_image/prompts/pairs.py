"""The line `Key: value, Key: "quoted, value"` in A1111's pictures, written and read in linear time.

A1111 reads it with a regular expression that takes quadratic time on long words. This text comes from pictures that
anybody may have made, so it is read here by finding one colon after the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_KEY_CHARACTER = re.compile(r"[\w \-/]")
_QUOTED = re.compile(r'"(?:\\.|[^\\"])+"')
_SPACE = re.compile(r"\s*")


def write(pairs: Iterable[tuple[str, str]]) -> str:
    """Give the line for pairs whose keys `is_key` accepts; empty values are left out, a line cannot carry them."""
    return ", ".join(f"{key}: {quoted(value)}" for key, value in pairs if value)


def read(line: str) -> list[tuple[str, str]]:
    """Give the pairs in a line, in order; what is none is passed over, and a broken quotation is taken as it stands."""
    found: list[tuple[str, str]] = []
    position = 0
    while (colon := line.find(":", position)) >= 0:
        key = _key_before(line, position, colon)
        if key is None:
            position = colon + 1
            continue
        value, position = _value_after(line, colon + 1)
        found.append((key, value))
    return found


def is_key(text: str) -> bool:
    """Tell whether a text can be a key: two or more letters, digits, `_`, `-`, `/` and inner blanks."""
    return len(text) >= 2 and text == text.strip(" -/") and all(map(_KEY_CHARACTER.fullmatch, text))


def quoted(value: str) -> str:
    """Give a value as it stands in a line: as a JSON string where it holds what would end it, else unchanged."""
    if re.search(r"[,:\r\n]", value) or value.startswith('"') or value != value.strip():
        return json.dumps(value, ensure_ascii=False)
    return value


def _key_before(line: str, start: int, colon: int) -> str | None:
    first = colon
    while first > start and _KEY_CHARACTER.match(line[first - 1]):
        first -= 1
    key = line[first:colon].lstrip(" -/")
    return key if len(key) >= 2 else None


def _value_after(line: str, start: int) -> tuple[str, int]:
    space = _SPACE.match(line, start)
    start = space.end() if space else start
    match = _QUOTED.match(line, start)
    if match and line[match.end() : match.end() + 1] in {"", ","}:
        return _unquoted(match.group()), match.end() + 1
    end = line.find(",", start)
    end = len(line) if end < 0 else end
    return line[start:end].rstrip(), end + 1


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text
