"""Faults at the Google Cloud endpoints: the shared book's, with Google's error bodies, and the same over gRPC."""

from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

import orjson

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.faults import SCOPE_KEY, AsgiApp, FaultBook, Receive, Scope, Send, with_faults
from controlplane.localcloud.gcp.errors import GoogleError, status_of_http, unauthenticated, unavailable

ENDPOINT = "gcp"
_FOR_EVER = 3600.0
_STATUS = {"403": "PERMISSION_DENIED", "429": "RESOURCE_EXHAUSTED", "500": "INTERNAL", "503": "UNAVAILABLE"}

# Whether the call that is being answered is to get a partial list.
partial_list: ContextVar[bool] = ContextVar("partial_list", default=False)


def disturbed(app: AsgiApp, book: FaultBook, clock: Clock) -> AsgiApp:
    """Wrap the REST application so that faults happen to it."""

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        _, fault = scope.get(SCOPE_KEY, ("", None))
        partial_list.set(fault is not None and fault.kind == "partial-list")
        await app(scope, receive, send)

    faulty = with_faults(marked, book, ENDPOINT, clock)

    async def in_googles_words(scope: Scope, receive: Receive, send: Send) -> None:
        # What comes through the Connect gateway are an API server's own words, and are left as they are.
        through = "/gkeMemberships/" in scope.get("path", "")
        await faulty(scope, receive, send if through else _Rewriter(send).send)

    return in_googles_words


class _Rewriter:
    """Turns the Kubernetes Status that a fault answers with into Google's error envelope."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: MutableMapping[str, Any] | None = None

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            body = message.get("body", b"")
            if body.startswith(b'{"kind":"Status"'):
                text = orjson.loads(body)["message"]
                body = orjson.dumps(GoogleError(status_of_http(start["status"]), text).envelope())
                headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
                start = {**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
                message = {**message, "body": body}
            await self._send(start)
        await self._send(message)


async def before_call(book: FaultBook, clock: Clock, path: str) -> GoogleError | None:
    """Let faults happen to a gRPC call; gives the error that hides its answer, when that is to be lost."""
    lost: GoogleError | None = None
    partial_list.set(False)
    for _, fault in book.strike(ENDPOINT, "POST", path):
        if fault.kind == "latency":
            await clock.sleep(fault.seconds or 0)
        elif fault.kind == "hang":
            await clock.sleep(_FOR_EVER if fault.seconds is None else fault.seconds)
            raise unavailable("Socket closed")
        elif fault.kind == "cut":
            raise unavailable("Socket closed")
        elif fault.kind == "lost-answer":
            lost = unavailable("Socket closed")
        elif fault.kind == "expired-credential":
            raise unauthenticated()
        elif fault.kind in _STATUS:
            raise GoogleError(_STATUS[fault.kind], "An injected fault.")
        elif fault.kind == "partial-list":
            partial_list.set(True)
    return lost
