"""The part of Kubernetes' JSONPath that printer columns and scale paths use.

Fields, quoted keys, indices, slices, wildcards and equality filters; expressions without braces, as in a
CustomResourceDefinition. What is not there gives no values rather than an error, as with missing keys allowed.
"""

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""\.\.(?P<deep>[\w-]+)
      | \.(?P<field>(?:\\.|[\w/-])+)
      | \.?\[(?P<quoted>'(?:\\.|[^'])*'|"(?:\\.|[^"])*")\]
      | \[(?P<slice>-?\d*:-?\d*)\]
      | \[(?P<index>-?\d+)\]
      | \.?(?P<all>\[\*\]|\*)
      | \[\?\(@(?P<filter>\.[^=!<>\s]+)\s*(?P<operator>==|!=)\s*(?P<wanted>'[^']*'|"[^"]*"|[^)]+)\)\]
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[tuple[str, str, str], ...] | None:
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[tuple[str, str, str]] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None or match.end() == position:
            return None
        if match["filter"]:
            steps.append(("filter", match["filter"] + "\0" + match["operator"], _unquoted(match["wanted"].strip())))
        else:
            kind = match.lastgroup or ""
            value = match[kind]
            steps.append((kind, _unquoted(value) if kind == "quoted" else value.replace("\\", ""), ""))
        position = match.end()
    return tuple(steps)


def _unquoted(text: str) -> str:
    return text[1:-1].replace("\\", "") if text[:1] in ("'", '"') else text


def is_valid(path: str) -> bool:
    """Say whether the expression can be read."""
    return _steps(path) is not None


def find(path: str, value: Any) -> list[Any]:
    """Give all values that the expression finds."""
    steps = _steps(path)
    found = [value] if steps is not None else []
    for kind, argument, wanted in steps or ():
        found = [result for one in found for result in _step(kind, argument, wanted, one)]
    return found


def first(path: str, value: Any) -> Any:
    """Give the first value found, None where there is none."""
    found = find(path, value)
    return found[0] if found else None


def _step(kind: str, argument: str, wanted: str, value: Any) -> list[Any]:
    if kind in ("field", "quoted"):
        return [value[argument]] if isinstance(value, dict) and argument in value else []
    if kind == "deep":
        return _deep(argument, value)
    if kind == "all":
        return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []
    if not isinstance(value, list):
        return []
    if kind == "index":
        index = int(argument)
        return [value[index]] if -len(value) <= index < len(value) else []
    if kind == "slice":
        start, _, end = argument.partition(":")
        return value[int(start) if start else None : int(end) if end else None]
    path, _, operator = argument.partition("\0")
    return [one for one in value if _matches(find(path, one), wanted, operator)]


def _matches(found: list[Any], wanted: str, operator: str) -> bool:
    if not found:
        return False
    value = found[0]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return (text == wanted) == (operator == "==")


def _deep(name: str, value: Any) -> list[Any]:
    found: list[Any] = []
    if isinstance(value, dict):
        if name in value:
            found.append(value[name])
        for child in value.values():
            found.extend(_deep(name, child))
    elif isinstance(value, list):
        for child in value:
            found.extend(_deep(name, child))
    return found
