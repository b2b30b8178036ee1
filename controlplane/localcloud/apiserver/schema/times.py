"""Times as Go reads them, with its complaints about those it cannot."""

import re
from datetime import UTC, datetime
from typing import Any

from controlplane.localcloud.apiserver.schema.gojson import DecodeError, json_kind
from controlplane.localcloud.apiserver.schema.node import Node

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_LAYOUT = "2006-01-02T15:04:05Z07:00"
_MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"


def read_time(node: Node, value: Any, path: str, owner: str) -> str:
    """Read a metav1.Time: whole seconds come back, in UTC."""
    if not isinstance(value, str):
        raise DecodeError(f"json: cannot unmarshal {json_kind(value)} into Go value of type string")
    if not _TIME.fullmatch(value) or not _is_date(value):
        raise DecodeError(_unparsed(value, _LAYOUT))
    if value.endswith("Z") and len(value) == 20:
        return value
    return _seconds(value)


def read_micro_time(node: Node, value: Any, path: str, owner: str) -> str:
    """Read a metav1.MicroTime, which must have its six digits."""
    if not isinstance(value, str):
        raise DecodeError(f"json: cannot unmarshal {json_kind(value)} into Go value of type string")
    if not _MICRO_TIME.fullmatch(value):
        raise DecodeError(_unparsed(value, _MICRO_LAYOUT))
    return value


def _is_date(value: str) -> bool:
    try:
        datetime.fromisoformat(value[:19])
    except ValueError:
        return False
    return True


def _seconds(value: str) -> str:
    """Cut a time to whole seconds in UTC, as metav1.Time does."""
    cut = re.sub(r"\.\d+", "", value).replace("Z", "+00:00")
    return datetime.fromisoformat(cut).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unparsed(value: str, layout: str) -> str:
    """Word it as Go's time.Parse does: which rest of the value did not fit which rest of the layout."""
    rest, layout_rest = _first_difference(value, layout)
    return f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as "{layout_rest}"'


def _first_difference(value: str, layout: str) -> tuple[str, str]:
    position = 0
    for part in re.findall(r"2006|01|02|15|04|05|\.000000|Z07:00|.", layout):
        if part == "Z07:00":
            pattern = r"Z|[+-]\d\d:\d\d"
        elif part == ".000000":
            pattern = r"\.\d{6}"
        elif part.isdigit():
            pattern = rf"\d{{{len(part)}}}"
        else:
            pattern = re.escape(part)
        match = re.compile(pattern).match(value, position)
        if match is None:
            return value[position:], part
        position = match.end()
        if part == "05" and ".000000" not in layout:
            fraction = re.compile(r"\.\d+").match(value, position)
            position = fraction.end() if fraction else position
    return value[position:], ""
