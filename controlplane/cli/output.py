"""How results are shown: tables for people, JSON or YAML for programs; notes go to stderr, so pipes stay clean.

Where a log service reads what the process writes, each line is a log line: errors and notes too, and no table at all.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controlplane.cli.paper import Fitted, Paper


class Output(StrEnum):
    """The forms a result can take."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="table for people, json or yaml for programs.", show_default=True)
]

LOG_LINES: ContextVar[bool] = ContextVar("log_lines", default=False)
"""Whether everything that is said is a line for Cloud Logging."""
console = Paper(highlight=False)
notes = Console(stderr=True, highlight=False)


def note(message: str) -> None:
    """Tell the person something that is not the result."""
    if LOG_LINES.get():
        _log("info", message)
        return
    notes.print(Text(message, style="dim"))


def fail_line(message: str) -> None:
    """Print one line of error."""
    if LOG_LINES.get():
        _log("error", message)
        return
    for line in message.splitlines() or [""]:
        notes.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


def _log(level: str, message: str) -> None:
    import structlog

    for line in message.splitlines():
        getattr(structlog.get_logger("gpuhunter"), level)(line)


def emit(data: Any, output: Output, show: Callable[[], None]) -> None:
    """Write `data` as JSON or YAML, or call `show` for people."""
    if output is Output.JSON:
        sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")
    elif output is Output.YAML:
        import yaml

        sys.stdout.write(yaml.safe_dump(json.loads(json.dumps(data, default=str)), sort_keys=False))
    else:
        show()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None, gap: int = 2) -> None:
    """Print a plain table; empty cells are dashes, so that a column never looks forgotten."""
    padding = (0, gap, 0, 0)
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", padding=padding)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(value) for value in row))
    console.print(Fitted(grid))


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    return Text("-" if value is None or value == "" else str(value))


PHASE_STYLES = {
    "Serving": "green",
    "Warming": "yellow",
    "Hunting": "yellow",
    "Draining": "magenta",
    "Cooling": "dim",
    "Chosen": "green",
    "Held": "green",
    "Ranked": "cyan",
    "Refused": "dim",
    "True": "green",
    "False": "red",
    "Unknown": "yellow",
}
