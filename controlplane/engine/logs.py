"""Log lines: for Cloud Logging one JSON object a line, for people at a terminal colours; secrets masked in both.

Messages are constant and values stand in keys, so that lines can be searched and counted. Cloud Logging reads
`severity`, `message` and `time` by these names.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from controlplane.gateways.sanitise import sanitise, scrub

_SEVERITY = {"warn": "WARNING", "exception": "ERROR", "fatal": "CRITICAL"}
_LONGEST = 2000
_STACK = 8000


def configure(*, json_lines: bool, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up structlog for this process."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    tail: list[Any] = (
        [structlog.processors.format_exc_info, scrub_values, for_cloud_logging, structlog.processors.JSONRenderer()]
        if json_lines
        else [
            structlog.processors.format_exc_info,
            scrub_values,
            structlog.dev.ConsoleRenderer(timestamp_key="time", exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


def scrub_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask credentials in every value, at every depth, and keep control characters out of the line."""
    return {key: _clean(value, _STACK if key in ("exception", "stack") else _LONGEST) for key, value in event.items()}


def for_cloud_logging(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give the fields the names that Cloud Logging and Error Reporting read."""
    level = str(event.pop("level", "info"))
    message = event.pop("event", "")
    named = {"severity": _SEVERITY.get(level, level.upper()), "message": message, "time": event.pop("time", None)}
    if "exception" in event:
        named["stack_trace"] = event.pop("exception")
    return {**named, **event}


def _clean(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        # Stack traces keep their lines.
        return scrub(value)[:limit] if limit == _STACK else sanitise(value, limit)
    if isinstance(value, Mapping):
        return {sanitise(str(key), 128): _clean(item, limit) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, limit) for item in value]
    return value if isinstance(value, (int, float, bool)) or value is None else sanitise(str(value), limit)
