"""The meta.k8s.io/v1 Table that `kubectl get` prints.

The server sends all columns, those for `-o wide` with priority 1, and kubectl chooses; rows carry the object's metadata
unless the request asks for the whole object or for nothing.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.types import TypeInfo
from controlplane.localcloud.apiserver.tables.age import age
from controlplane.localcloud.apiserver.tables.cluster import CLUSTER
from controlplane.localcloud.apiserver.tables.columns import AGE, NAME, Printer, created, name_of
from controlplane.localcloud.apiserver.tables.config import CONFIG
from controlplane.localcloud.apiserver.tables.custom import custom_printer
from controlplane.localcloud.apiserver.tables.pods import PODS
from controlplane.localcloud.apiserver.tables.workloads import WORKLOADS

Include = Literal["Metadata", "Object", "None"]


def _generic(obj: Object, now: datetime) -> list[Any]:
    return [name_of(obj), age(created(obj), now)]


_GENERIC = Printer((NAME, AGE), _generic)
_PRINTERS = {("", "Pod"): PODS, **WORKLOADS, **CLUSTER, **CONFIG}


def table(
    info: TypeInfo,
    objects: Iterable[Object],
    now: datetime,
    *,
    include: Include = "Metadata",
    headings: bool = True,
    list_metadata: Object | None = None,
) -> Object:
    """Give the Table of these objects; `headings=False` leaves the column definitions out, as later watch events do."""
    printer = _printer(info)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(list_metadata or {}),
        "columnDefinitions": _definitions(printer) if headings else None,
        "rows": [_row(printer, obj, now, include) for obj in objects],
    }


@lru_cache(maxsize=256)
def _printer(info: TypeInfo) -> Printer:
    if info.custom:
        return custom_printer(info)
    return _PRINTERS.get((info.group, info.kind), _GENERIC)


def _definitions(printer: Printer) -> list[Object]:
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in printer.columns
    ]


def _row(printer: Printer, obj: Object, now: datetime, include: Include) -> Object:
    row: Object = {"cells": printer.cells(obj, now)}
    if include == "Object":
        row["object"] = obj
    elif include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": obj.get("metadata", {}),
        }
    return row
