"""CSV as spreadsheets write it: the first line names the keys, the others are pictures, empty cells say nothing."""

from __future__ import annotations

import csv
import io

from webui_image.batch.parameters.keys import SPECIAL, is_known, unknown
from webui_image.batch.parameters.nodes import Node, Plain
from webui_image.batch.parameters.problems import Problems, quoted

_SEPARATORS = (",", ";", "\t")  # Excel writes semicolons where the comma is the decimal sign


def read(text: str, file: str, problems: Problems) -> Node | None:
    """Read the table as a list of mappings; a dot in a column's name makes a mapping, as in `hires.scale`."""
    head = text.split("\n", 1)[0]
    separator = max(_SEPARATORS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    items: list[Node] = []
    try:
        names = _header(next(rows), file, problems)
        line = rows.line_num + 1
        for row in rows:
            if len(row) > len(names):
                message = f"{len(row)} cells, but {len(names)} columns (first one too many: {quoted(row[len(names)])})"
                problems.add(file, line, "", message, f'put text that holds {separator!r} into "double quotes"')
            if any(cell.strip() for cell in row):
                items.append(_picture(names, row, file, line))
            line = rows.line_num + 1
    except (csv.Error, StopIteration) as error:
        problems.add(file, rows.line_num, "", f"not CSV: {error or 'it is empty'}", "look at the quotes of this line")
        return None
    return Node(items, file, 1)


def _header(cells: list[str], file: str, problems: Problems) -> list[str]:
    names = [cell.strip() for cell in cells]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(file, 1, name, "two columns have this name", "keep one")
    if "" in names:
        problems.add(file, 1, "", f"column {names.index('') + 1} has no name", "the first line names the keys")
    for at, name in enumerate(names):
        if name and not (is_known(name) or name in SPECIAL or name.startswith("hires.")):
            problems.add(file, 1, name, *unknown(name))
            names[at] = ""  # said once, not in each line
    return names


def _picture(names: list[str], row: list[str], file: str, line: int) -> Node:
    mapping: dict[str, Node] = {}
    for name, cell in zip(names, row, strict=False):
        if not (name and cell.strip()):
            continue
        first, dot, rest = name.partition(".")
        if not dot:
            mapping[name] = Node(Plain(cell.strip()), file, line)
            continue
        inner = mapping.setdefault(first, Node({}, file, line))
        if isinstance(inner.value, dict):
            inner.value[rest] = Node(Plain(cell.strip()), file, line)
    return Node(mapping, file, line)
