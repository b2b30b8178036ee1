"""Durations as Kubernetes users write them: `90s`, `15m`, `1h30m`."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

PATTERN = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
LONGEST = timedelta(days=7)
_PARTS = re.compile(r"^(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?$", re.ASCII)


def parse_duration(text: object) -> timedelta:
    """Read `1h30m`. Raises ValueError on anything else, on zero and on more than seven days."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str):
        raise ValueError(f'{text!r} is not a duration; write text with a unit, such as "90s", "15m" or "1h30m"')  # noqa: TRY004 - pydantic reads ValueError
    match = _PARTS.match(text)
    if match is None or not text:
        raise ValueError(f'"{text}" is not a duration; write one such as "90s", "15m" or "1h30m"')
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    value = hours * 3600 + minutes * 60 + seconds
    if not 0 < value <= LONGEST.total_seconds():
        raise ValueError(f'"{text}" is out of range; give more than 0s and at most 168h')
    return timedelta(seconds=value)


def format_duration(value: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it, without units that are zero."""
    hours, rest = divmod(round(value.total_seconds()), 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n]
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "minLength": 2, "maxLength": 20}),
]
