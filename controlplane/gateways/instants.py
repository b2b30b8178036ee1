"""Kubernetes' times as aware datetimes. Naive ones, and seconds taken for RFC 3339, have fooled controllers before."""

from collections.abc import Mapping
from datetime import UTC, datetime
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
