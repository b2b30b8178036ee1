"""Rows of custom resources: their additionalPrinterColumns."""

import json
from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.jsonpath import find
from controlplane.localcloud.apiserver.schema.types import PrinterColumn, TypeInfo
from controlplane.localcloud.apiserver.tables.age import age
from controlplane.localcloud.apiserver.tables.columns import NAME, Column, Printer, name_of


def custom_printer(info: TypeInfo) -> Printer:
    """Build the printer from the definition's columns."""
    columns = tuple(
        Column(one.name, one.type, one.format, one.priority, one.description) for one in info.printer_columns
    )

    def cells(obj: Object, now: datetime) -> list[Any]:
        return [name_of(obj), *(_cell(column, obj, now) for column in info.printer_columns)]

    return Printer((NAME, *columns), cells)


def _cell(column: PrinterColumn, obj: Object, now: datetime) -> Any:
    found = find(column.json_path, obj)
    if not found:
        return None
    value = found[0]
    if column.type == "date":
        return age(value, now) if isinstance(value, str) else "<unknown>"
    if column.type == "integer":
        return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if column.type == "number":
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if column.type == "boolean":
        return value if isinstance(value, bool) else None
    return " ".join(_text(one) for one in found) if len(found) > 1 else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict | list) else str(value)
