"""What a printer is: column headings, and a function from an object to its cells."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"


@dataclass(frozen=True, slots=True)
class Column:
    """One heading; priority 1 shows in `-o wide` only."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Printer:
    """How one kind is printed."""

    columns: tuple[Column, ...]
    cells: Callable[[Object, datetime], list[Any]]


NAME = Column("Name", format="name")
AGE = Column("Age")


def printer(cells: Callable[[Object, datetime], list[Any]], *names: str) -> Printer:
    """Build a printer; `Name:integer` gives a type, a leading `+` marks a wide column."""
    columns = []
    for name in names:
        priority = 1 if name.startswith("+") else 0
        title, _, kind = name.removeprefix("+").partition(":")
        columns.append(Column(title, kind or "string", "name" if title == "Name" else "", priority))
    return Printer(tuple(columns), cells)


def name_of(obj: Object) -> str:
    """Give the object's name."""
    return str(obj.get("metadata", {}).get("name", ""))


def created(obj: Object) -> Any:
    """Give the creation time."""
    return obj.get("metadata", {}).get("creationTimestamp")


def selector_text(selector: Any) -> str:
    """Write a label selector as `a=b,c in (d,e)`; `<none>` for an empty one."""
    if not selector:
        return NONE
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    parts += [_expression(expression) for expression in selector.get("matchExpressions") or ()]
    return ",".join(parts) or NONE


def _expression(expression: Object) -> str:
    key, operator = expression.get("key", ""), expression.get("operator", "")
    values = ",".join(sorted(expression.get("values") or ()))
    if operator == "Exists":
        return str(key)
    if operator == "DoesNotExist":
        return f"!{key}"
    return f"{key} {'in' if operator == 'In' else 'notin'} ({values})"


def labels_text(labels: Any) -> str:
    """Write labels as `a=b,c=d`."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def containers_of(template: Any) -> tuple[str, str]:
    """Give the names and images of a template's containers."""
    containers = ((template or {}).get("spec") or {}).get("containers") or ()
    return (
        ",".join(one.get("name", "") for one in containers),
        ",".join(one.get("image", "") for one in containers),
    )


def limited(items: list[str], maximum: int = 3) -> str:
    """Join a few and count the rest, as `a,b,c + 2 more...`."""
    if not items:
        return NONE
    text = ",".join(items[:maximum])
    return f"{text} + {len(items) - maximum} more..." if len(items) > maximum else text
