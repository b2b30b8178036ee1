"""Durations as kubectl prints them: two units while they say something, one beyond."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


def parse_time(value: Any) -> datetime | None:
    """Read metav1.Time or MicroTime."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    fraction = (match[2] or "")[:7]
    try:
        return datetime.fromisoformat(match[1] + (fraction.ljust(7, "0") if fraction else "") + zone)
    except ValueError:
        return None


def age(value: Any, now: datetime) -> str:
    """Say how long ago this was; `<unknown>` without a time."""
    instant = parse_time(value)
    return "<unknown>" if instant is None else duration(now.astimezone(UTC) - instant)


def duration(span: timedelta) -> str:
    """Write a duration as apimachinery's HumanDuration does."""
    seconds = int(span.total_seconds())
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    years = days // 365
    return _two(years, "y", days % 365, "d") if days < 365 * 8 else f"{years}y"


def _two(whole: int, unit: str, rest: int, rest_unit: str) -> str:
    return f"{whole}{unit}{rest}{rest_unit}" if rest else f"{whole}{unit}"
