"""How results are shown: text for people, JSON for programs; notes and errors go to stderr, so pipes stay clean."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text


class Output(StrEnum):
    """The forms a result can take."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="table for people, json for programs.", show_default=True)
]

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)


def note(message: str) -> None:
    """Tell the person something that is not the result."""
    notes.print(Text(message, style="dim"), soft_wrap=True)


def fail_line(message: str) -> None:
    """Print an error, one line for each of its lines."""
    for line in message.splitlines() or [""]:
        notes.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


def emit(data: Any, output: Output, show: Callable[[], None]) -> None:
    """Write `data` as JSON, or call `show` for people."""
    if output is Output.JSON:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")
    else:
        show()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a plain table; empty cells are dashes, so that a column never looks forgotten."""
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text("-" if value is None or value == "" else str(value)) for value in row))
    console.print(grid)
