"""How wide a result may be: as wide as the terminal, and without one as wide as it has to be.

Who pipes a table into grep or a file wants one line a row and whole names, as kubectl gives them. On a terminal a line
that is too long is broken, and then between words: a column of prose gives way before a name is cut in two, for a name
is what is copied into the next command.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from rich.align import AlignMethod
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderResult
from rich.measure import Measurement, measure_renderables
from rich.rule import Rule
from rich.segment import Segment
from rich.style import Style
from rich.table import Column, Table
from rich.text import TextType

UNBOUNDED = 100_000
RULE_WIDTH = 80


class Paper(Console):
    """A console that breaks no line where there is no terminal, unless a width is given, or COLUMNS is."""

    @property
    def bounded(self) -> bool:
        """Whether there is a width to be kept."""
        return self._width is not None or self.file.isatty()

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines."""
        found = super().size
        return found if self.bounded else ConsoleDimensions(UNBOUNDED, found.height)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._width, self._height = size

    def rule(
        self,
        title: TextType = "",
        *,
        characters: str = "─",
        style: str | Style = "rule.line",
        align: AlignMethod = "center",
    ) -> None:
        """Draw a line across, of a common width where there is no other."""
        drawn = Rule(title, characters=characters, style=style, align=align)
        self.print(drawn, width=self.width if self.bounded else RULE_WIDTH)


class Fitted:
    """A table as wide as there is room, whose prose gives way before its names; no line ends in blanks.

    table: one without a box and without padding at its edges.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it."""
        columns = self._table.columns
        measured = [_measured(console, options, column) for column in columns]
        gaps = sum(self._table.padding[1::2]) * (len(columns) - 1)
        for column, width in zip(columns, narrowed(measured, options.max_width - gaps), strict=True):
            column.width = width
        for line in console.render_lines(self._table, options, pad=False):
            yield from _trimmed(line)
            yield Segment.line()


def narrowed(columns: Sequence[Measurement], room: int) -> list[int]:
    """Give each column's width: what it wants if there is room, else less of the widest whose words stay whole.

    columns: from the longest word to the longest line. Where not even the words have room, the widest column breaks.
    """
    widths = [column.maximum for column in columns]
    while sum(widths) > room:
        prose = [index for index, column in enumerate(columns) if widths[index] > column.minimum]
        widest = max(prose or range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= 1:
            break
        widths[widest] -= 1
    return widths


def _measured(console: Console, options: ConsoleOptions, column: Column) -> Measurement:
    cells = [*([column.header] if column.header else ()), *column.cells]
    found = measure_renderables(console, options.update(max_width=UNBOUNDED), cells)
    return Measurement(found.maximum, found.maximum) if column.no_wrap else found


def _trimmed(line: Iterable[Segment]) -> Iterable[Segment]:
    """Leave out the blanks at a line's end."""
    kept = list(line)
    while kept and not kept[-1].text.strip():
        kept.pop()
    return chain(kept[:-1], [Segment(kept[-1].text.rstrip(), kept[-1].style)] if kept else ())
