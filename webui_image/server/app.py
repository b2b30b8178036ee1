"""Puts the server together: routes inside, then limits, then who may, then the prefix, then headers and the log.

The layers around the routes are plain ASGI, not Starlette's BaseHTTPMiddleware, because that one hides from a route
that its client has gone, and everything here rests on knowing that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from webui_image.server import generate, health, page, problems
from webui_image.server.a1111 import routes
from webui_image.server.callers import Callers
from webui_image.server.context import Context
from webui_image.server.envelope import Envelope, Prefix
from webui_image.server.health import not_ready
from webui_image.server.limits import BodyLimits
from webui_image.server.security import Security

if TYPE_CHECKING:
    from webui_image.clock import Clock
    from webui_image.metrics import Metrics
    from webui_image.server.settings import Settings
    from webui_image.values.ports import Engine


def create(settings: Settings, engine: Engine, metrics: Metrics, clock: Clock) -> FastAPI:
    """Build the application; its `state.context` is what the routes share. The engine is not started here."""
    context = Context(settings, engine, metrics, clock, Callers(settings))
    # The documentation page would load scripts from other hosts; the document itself is enough for clients.
    app = FastAPI(title="Stable Diffusion", version=settings.place.version, docs_url=None, redoc_url=None)
    app.state.context = context
    metrics.watch(
        waiting=lambda: engine.status().waiting,
        running=lambda: engine.status().running,
        ready=lambda: float(not not_ready(context)),
    )
    place = settings.place
    metrics.about(version=place.version, region=place.region, accelerator=place.accelerator, capacity=place.capacity)
    problems.install(app)
    for router in (health.router(context), *routes(context), generate.router(context), page.router(context)):
        app.include_router(router)
    add: Any = app.add_middleware  # the one added last is outermost
    add(BodyLimits, context=context)
    add(Security, context=context)
    if settings.allowed_origins:
        add(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )
    add(Prefix, prefix=settings.path_prefix)
    add(Envelope, context=context)
    return app
