"""Errors as answers: one table from what went wrong to a status code, and one shape of body for all.

FastAPI's `detail` list is what its generated clients read, and `error` and `errors` are the texts that A1111's clients
show; every refusal carries all three. A body never shows a stack, a path or a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

from webui_image.values import errors

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse

RETRY_HEADER = "X-GPU-Hunter-Retry"  # 1: nothing was done with the request here, send it again as it was


class Unauthorised(errors.WebUIError):
    """Nobody known sends this. 401."""


class Forbidden(errors.WebUIError):
    """It is known who sends this, and they may not. 403."""


class NotOffered(errors.WebUIError):
    """The endpoint exists in A1111, and this server leaves it out on purpose. 501."""


class TimedOut(errors.WebUIError):
    """It took longer than a request may. 504."""


class ClientGone(Exception):  # noqa: N818 - what happened, not a fault
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error ready to be sent, as an answer or as the last line of a stream."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


# The first class that fits decides: subclasses stand before their bases.
_TABLE: tuple[tuple[type[errors.WebUIError], int, str, str], ...] = (
    (errors.TooLarge, 413, "Too large", "too_large"),
    (errors.Unsupported, 422, "Not supported", "unsupported"),
    (errors.Invalid, 422, "Invalid request", "invalid"),
    (errors.QueueFull, 429, "Queue full", "queue_full"),
    (errors.HandedBack, 503, "Handed back", "handed_back"),
    (errors.NotReady, 503, "Not ready", "not_ready"),
    (errors.OutOfMemory, 503, "Out of memory", "out_of_memory"),
    (errors.Wedged, 503, "Device does not answer", "wedged"),
    (errors.NotFinite, 500, "Not a picture", "not_finite"),
    (errors.ModelError, 500, "Model cannot be used", "model"),
    (Unauthorised, 401, "Not authenticated", "unauthorised"),
    (Forbidden, 403, "Forbidden", "forbidden"),
    (NotOffered, 501, "Not offered", "not_offered"),
    (TimedOut, 504, "Timed out", "timed_out"),
)


def reason(error: BaseException) -> str:
    """Give the error's name in metrics, logs and streams, e.g. "queue_full"; "internal" for a fault of our own."""
    return next((name for kind, _, _, name in _TABLE if isinstance(error, kind)), "internal")


def problem(error: BaseException) -> Problem:
    """Translate an error; what is not in the table is a fault of our own and says nothing of itself."""
    for kind, status, title, name in _TABLE:
        if isinstance(error, kind):
            return Problem(status, _body(error, title, name), _headers(error, status))
    return Problem(500, _plain("Internal error", "the server made a mistake; its log says more", "internal"))


def invalid(items: Sequence[dict[str, Any]]) -> Problem:
    """Give the answer to a body that does not fit its schema, from pydantic's list of what does not."""
    detail = [{"type": item["type"], "loc": list(item["loc"]), "msg": str(item["msg"])} for item in items[:20]]
    text = "; ".join(f"{_where(item['loc'])}: {item['msg']}" for item in detail)
    return Problem(422, {"detail": detail, "error": "Invalid request", "errors": text, "reason": "invalid"})


def install(app: FastAPI) -> None:
    """Make the app answer every error so."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    def answer(found: Problem) -> JSONResponse:
        from starlette.responses import JSONResponse

        return JSONResponse(found.body, found.status, found.headers)

    async def known(_request: Request, error: errors.WebUIError) -> JSONResponse:
        return answer(problem(error))

    async def unfit(_request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(invalid(error.errors()))

    async def http(_request: Request, error: HTTPException) -> JSONResponse:
        text = str(error.detail)
        return answer(Problem(error.status_code, _plain(text, text, "http"), dict(error.headers or {})))

    app.add_exception_handler(errors.WebUIError, known)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, unfit)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, http)  # type: ignore[arg-type]


def _body(error: BaseException, title: str, name: str) -> dict[str, Any]:
    if isinstance(error, errors.Invalid):
        detail = [{"type": name, "loc": ["body", *error.field.split(".")], "msg": error.message}]
        return {"detail": detail, "error": title, "errors": str(error), "reason": name}
    # A model's path is the operator's business: logs have it, users do not.
    text = "this model cannot be used at present" if isinstance(error, errors.ModelError) else str(error)
    body = _plain(title, text, name)
    if isinstance(error, errors.NotReady | errors.QueueFull):
        body |= {"retry": True, "retry_after": error.retry_after}
    return body


def _plain(title: str, text: str, name: str) -> dict[str, Any]:
    return {"detail": text, "error": title, "errors": text, "reason": name}


def _headers(error: BaseException, status: int) -> dict[str, str]:
    headers = {}
    if isinstance(error, errors.NotReady | errors.QueueFull):
        headers["Retry-After"] = str(max(ceil(error.retry_after), 1))
    if isinstance(error, errors.NotReady):
        headers[RETRY_HEADER] = "1"
    if isinstance(error, errors.HandedBack):
        headers["Connection"] = "close"
    if status in {413, 504}:
        headers["Connection"] = "close"
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Stable Diffusion", charset="UTF-8"'
    return headers


def _where(loc: Sequence[Any]) -> str:
    parts = [str(part) for part in loc]
    return ".".join(parts[1:] if parts[:1] in (["body"], ["query"]) and len(parts) > 1 else parts)
