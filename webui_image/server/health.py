"""Health that means something, for probes and load balancers; and where this replica runs, for people.

- `/startupz`: has loading ended? Answers 503 with phase and progress until the model is warm.
- `/readyz`: should new requests come here? Not while loading, draining, out of memory, wedged or with a full queue.
- `/livez` (and `/healthz`): would a restart help? Only where the device is wedged; that it answers shows the event
  loop.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from webui_image.metrics import CONTENT_TYPE
from webui_image.values.ports import Phase, Status

if TYPE_CHECKING:
    from webui_image.server.context import Context

_LOADING = (Phase.STARTING, Phase.IMPORTING, Phase.DOWNLOADING, Phase.LOADING, Phase.WARMING)


def router(context: Context) -> APIRouter:
    """Give the routes."""
    routes = APIRouter(tags=["health"])

    @routes.get("/startupz")
    async def startupz() -> JSONResponse:
        """Tell whether loading has ended, and how far it is."""
        status = context.engine.status()
        return _answer(status.phase not in {*_LOADING, Phase.FAILED}, described(status))

    @routes.get("/readyz")
    async def readyz() -> JSONResponse:
        """Tell whether new requests should come here."""
        why = not_ready(context)
        return _answer(not why, described(context.engine.status()) | {"reason": why})

    @routes.get("/livez")
    @routes.get("/healthz", include_in_schema=False)
    async def livez() -> JSONResponse:
        """Tell whether a restart would help: 500 where it would."""
        status = context.engine.status()
        wedged = status.phase is Phase.WEDGED
        return JSONResponse({"status": "wedged" if wedged else "alive"}, 500 if wedged else 200)

    @routes.get("/internal/ping")
    async def ping() -> dict[str, Any]:
        """Answer, as A1111 does."""
        return {}

    @routes.get("/metrics")
    async def metrics() -> Response:
        """Give the figures in Prometheus' text format."""
        return Response(context.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    @routes.get("/about")
    async def about() -> dict[str, Any]:
        """Say where this replica runs, and with which model."""
        status = context.engine.status()
        return asdict(context.settings.place) | {"device": status.device, "model": status.model}

    return routes


def not_ready(context: Context) -> str:
    """Give the reason for turning new requests away; empty where they are welcome."""
    status, settings = context.engine.status(), context.settings
    if context.draining:
        return "draining"
    if status.phase is not Phase.READY:
        return str(status.phase)
    if status.seconds_since_success is None:
        return "no picture has succeeded yet"
    stale = settings.success_seconds and status.seconds_since_success > settings.success_seconds
    if stale and (status.waiting or status.running):
        return f"no picture has succeeded for {status.seconds_since_success:.0f} s, with work waiting"
    if status.waiting >= settings.limits.waiting:
        return f"saturated: {status.waiting} pictures wait"
    return ""


def described(status: Status) -> dict[str, Any]:
    """Give what probes show of the engine."""
    return {
        "phase": str(status.phase),
        "detail": status.detail,
        "progress": round(status.progress, 3),
        "waiting": status.waiting,
        "running": status.running,
        "phase_seconds": {name: round(seconds, 3) for name, seconds in status.phase_seconds},
    }


def _answer(good: bool, body: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"status": "ok" if good else "unavailable", **body}, 200 if good else 503)
