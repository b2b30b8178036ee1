"""Kubernetes' times as aware datetimes. Naive ones, and seconds taken for RFC 3339, have fooled controllers before."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any


def parse_instant(text: object) -> datetime | None:
    """Read an RFC 3339 time; None for null, absent or nonsense."""
    if not isinstance(text, str) or not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def micro_time(instant: datetime) -> str:
    """Write a MicroTime: always six digits, since API servers refuse one without a fraction."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event_time(event: Mapping[str, Any]) -> datetime | None:
    """Give when an Event was last seen. Which of its times is set depends on who wrote it."""
    series = event.get("series")
    candidates = [
        event.get("lastTimestamp"),
        event.get("eventTime"),
        series.get("lastObservedTime") if isinstance(series, Mapping) else None,
        event.get("firstTimestamp"),
    ]
    found = [instant for text in candidates if (instant := parse_instant(text)) is not None]
    metadata = event.get("metadata")
    created = metadata.get("creationTimestamp") if isinstance(metadata, Mapping) else None
    return max(found, default=None) or parse_instant(created)


def ahead(headers: Mapping[str, str], before: datetime, after: datetime) -> timedelta | None:
    """Give how far a server's clock is ahead, by the Date of its answer to what was asked between two instants of ours.

    None when it tells no time that makes sense. A Date has whole seconds, so what could be rounding is no difference.
    """
    value = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        there = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    there = there if there.tzinfo is not None else there.replace(tzinfo=UTC)
    half = (after - before) / 2
    off = there + timedelta(seconds=0.5) - (before + half)
    return off if abs(off) > timedelta(seconds=1) + half else timedelta(0)
