"""Log lines: one JSON object each, as Cloud Logging reads them, or text for people.

Events are constant and values stand in keys. A prompt is logged only where the operator asks for it, and then once,
when its request is taken; keys that name secrets are masked whoever logs them. Lines of the standard library's loggers
(uvicorn, diffusers) come out the same way.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from webui_image.server.settings import Settings

_SECRET = ("authorization", "password", "secret", "token", "api_key", "cookie", "assertion")
_PROMPTS = ("prompt", "negative_prompt")
_LONGEST = 4000


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Set up logging of this process, to standard error unless a stream is given."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        masked if settings.log_prompts else without_prompts,
    ]
    last: list[Any] = (
        [structlog.processors.format_exc_info, for_cloud_logging, structlog.processors.JSONRenderer()]
        if settings.log_json
        else [
            structlog.dev.ConsoleRenderer(
                timestamp_key="time",
                colors=False,
                # The prettier one shows local variables, and with them prompts and keys.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    target = stream or sys.stderr
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    chain = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=chain))
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def masked(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide the value of every key that names a secret, and cut what is very long."""
    return {key: _masked(key, value) for key, value in event.items()}


def without_prompts(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave prompts out as well."""
    kept = {key: value for key, value in event.items() if key not in _PROMPTS}
    return masked(logger, method, kept)


def for_cloud_logging(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give the fields the names that Cloud Logging reads."""
    level = str(event.pop("level", "info")).upper()
    named = {"severity": level, "message": event.pop("event", ""), "time": event.pop("time", None)}
    if "exception" in event:
        named["stack_trace"] = event.pop("exception")
    return {**named, **event}


def _masked(key: str, value: Any) -> Any:
    if any(word in key.lower() for word in _SECRET):
        return "***"
    return value[:_LONGEST] if isinstance(value, str) else value
