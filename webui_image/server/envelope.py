"""The outermost layers: what every answer carries, what is logged and counted of it, and the optional path prefix.

Errors that nobody expected end here too, so that they are logged once, with their stack, and tell the client nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response

from webui_image.clock import new_id
from webui_image.server.problems import ClientGone, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from webui_image.server.context import Context
    from webui_image.server.settings import Place

# Nothing but this origin; pictures made in the browser are blob: and data: URLs.
CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_QUIET = {"/livez", "/readyz", "/startupz", "/healthz", "/metrics", "/internal/ping"}
_UNPRINTABLE = re.compile(r"[^!-:<-~]")  # visible ASCII but the semicolon, which parts the pairs


class Envelope:
    """Headers, access log and HTTP metrics of every answer."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context
        self._log = structlog.get_logger()
        self._fixed = {
            "X-GPU-Hunter": place_header(context.settings.place),
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": CONTENT_SECURITY,
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clock = self._context.clock
        begun, status, request_id = clock.monotonic(), 0, new_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._dress(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            await self._app(scope, receive, dressed)
        except ClientGone:
            # Nobody reads it; the status is for the log and the metrics.
            await Response(status_code=499)(scope, receive, dressed)
        except Exception as error:
            self._log.exception("request failed", request_id=request_id, route=route_of(scope))
            if status:
                raise  # half an answer is out: cutting the connection is all that is left
            found = problem(error)
            await JSONResponse(found.body, found.status, found.headers)(scope, receive, dressed)
        finally:
            self._note(scope, status, clock.monotonic() - begun, request_id)

    def _dress(self, headers: MutableHeaders, request_id: str) -> None:
        for name, value in self._fixed.items():
            headers.setdefault(name, value)  # the page's own policy names its scripts by their hashes
        headers["X-Request-ID"] = request_id
        headers.setdefault("Cache-Control", "no-store")
        if self._context.draining:
            headers["Connection"] = "close"

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route, method = route_of(scope), scope["method"]
        known = method if method in {"GET", "HEAD", "POST", "OPTIONS"} else "other"
        self._context.metrics.answered(route, known, status, seconds)
        caller = scope["state"].get("caller")
        # Probes fail all through a start: that the phase changes is logged elsewhere, once.
        write = self._log.debug if route in _QUIET else self._log.info
        write(
            "answered",
            method=known,
            route=route,
            status=status,
            seconds=round(seconds, 4),
            user=caller.hashed if caller else None,
            request_id=request_id,
        )


class Prefix:
    """Serves everything under a prefix as well as at the root (some clients know no path before /sdapi)."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and self._prefix:
            if path == self._prefix:
                # Without the slash the page's relative addresses would point beside it.
                await RedirectResponse(f"{self._prefix}/", 308)(scope, receive, send)
                return
            if path.startswith(f"{self._prefix}/"):
                scope["root_path"] = self._prefix
        await self._app(scope, receive, send)


def path_of(scope: Scope) -> str:
    """Give the path without the prefix."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def route_of(scope: Scope) -> str:
    """Give the pattern of the route that answered; "none" where there was none, so that labels stay few."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "none"))


def place_header(place: Place) -> str:
    """Write where the replica runs, e.g. `region=us-central1; accelerator=nvidia-l4; ...`."""
    pairs = {
        "region": place.region,
        "accelerator": place.accelerator,
        "capacity": place.capacity,
        "version": place.version,
        "pod": place.pod,
    }
    return "; ".join(f"{name}={_UNPRINTABLE.sub('_', value)}" for name, value in pairs.items())
