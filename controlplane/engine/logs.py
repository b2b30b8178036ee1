"""Log lines: for Cloud Logging one JSON object a line, for people at a terminal colours; secrets masked in both.

Messages are constant and values stand in keys, so that lines can be searched and counted. Cloud Logging reads
`severity`, `message` and `time` by these names, and takes trace, span and labels out of the line by theirs.
"""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import structlog

from controlplane.engine.outcome import ExitCode
from controlplane.gateways.sanitise import sanitise, scrub

_SEVERITY = {"warn": "WARNING", "exception": "ERROR", "fatal": "CRITICAL"}
_LONGEST = 2000
_STACK = 8000
_LABELS = ("run_id", "service", "cluster")
"""Values that Cloud Logging indexes as labels too, so that one pass or one service is found without a search."""
_PREFIX = "logging.googleapis.com/"
_BY_EXIT_CODE: Mapping[int, str] = {
    ExitCode.BELOW_TARGET: "WARNING",
    ExitCode.NOTHING_FEASIBLE: "WARNING",
    ExitCode.CUT_OFF: "WARNING",
    ExitCode.BAD_CONFIGURATION: "ERROR",
    ExitCode.BUG: "ERROR",
}
"""A pass that is not what was wanted is looked for by its severity; a person at a terminal sees it anyhow."""
Event = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the lines of a process come from, as Cloud Logging groups them.

    trace: `projects/PROJECT/traces/ID`, empty for none. labels: stand on every line.
    """

    trace: str = ""
    span: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def configure(
    *, json_lines: bool, level: str = "info", stream: TextIO | None = None, origin: Origin | None = None
) -> None:
    """Set up structlog for this process. `origin` adds trace and labels to JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    tail: list[Any] = (
        [
            structlog.processors.format_exc_info,
            scrub_values,
            for_cloud_logging,
            *([] if origin is None else [from_origin(origin)]),
            structlog.processors.JSONRenderer(),
        ]
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
    if event.pop("attention", False):  # a person is shown it in the result of the pass, and must not be told twice
        level = "warning"
    named = {"severity": _SEVERITY.get(level, level.upper()), "message": message, "time": event.pop("time", None)}
    if "exception" in event:
        named["stack_trace"] = event.pop("exception")
    return {**named, **event}


def from_origin(origin: Origin) -> Callable[[object, str, Event], Event]:
    """Give the processor that puts trace, span and labels where Cloud Logging takes them from."""

    def processor(_logger: object, _method: str, event: Event) -> Event:
        if event.get("severity") == "INFO":
            event["severity"] = _BY_EXIT_CODE.get(event.get("exit_code", 0), "INFO")
        own = {name: str(event[name]) for name in _LABELS if event.get(name)}
        event[f"{_PREFIX}labels"] = {**origin.labels, **own}
        if origin.trace:
            event[f"{_PREFIX}trace"] = origin.trace
        if origin.span:
            event[f"{_PREFIX}spanId"] = origin.span
        return event

    return processor


def _clean(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        # Stack traces keep their lines.
        return scrub(value)[:limit] if limit == _STACK else sanitise(value, limit)
    if isinstance(value, Mapping):
        return {sanitise(str(key), 128): _clean(item, limit) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, limit) for item in value]
    return value if isinstance(value, (int, float, bool)) or value is None else sanitise(str(value), limit)
