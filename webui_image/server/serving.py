"""Runs the server: opens the port, starts the engine, and on a signal takes both down in order.

The port opens before the engine begins to import torch, so that probes have an answer while it loads. A model that
cannot be loaded ends the process with the reason, because no probe's text is where an operator looks first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import structlog
import uvicorn

from webui_image.server import logs
from webui_image.server.app import create
from webui_image.server.draining import Budget, Signals, finished, hand_over
from webui_image.server.security import refuse_unsafe
from webui_image.values.errors import WebUIError
from webui_image.values.ports import Phase, Status

if TYPE_CHECKING:
    from fastapi import FastAPI

    from webui_image.clock import Clock
    from webui_image.metrics import Metrics
    from webui_image.server.context import Context
    from webui_image.server.settings import Settings
    from webui_image.values.ports import Engine

# Longer than a load balancer keeps idle connections (Google's: 600 s), or it would send into a closed one.
_KEEP_ALIVE_SECONDS = 620
_LOOK_SECONDS = 0.25


class CannotServe(WebUIError):  # noqa: N818
    """The port cannot be opened, or the model cannot be loaded; the message says why."""


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals; starts the engine once the port is open."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, then start the engine."""
        await super().startup(sockets)
        self._engine.start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(settings: Settings, engine: Engine, metrics: Metrics, clock: Clock) -> None:
    """Serve until SIGTERM or SIGINT. Raises UnsafeError or CannotServe with one line that says what to do."""
    refuse_unsafe(settings)
    logs.configure(settings)
    listener = listen(settings.host, settings.port)
    app = create(settings, engine, metrics, clock)
    context: Context = app.state.context
    config = configuration(app)
    host, port = listener.getsockname()[:2]
    structlog.get_logger().info("listening", host=host, port=port, prefix=settings.path_prefix or "/")
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(_Server(config, engine), listener, context))
    finally:
        context.pool.shutdown(wait=False, cancel_futures=True)
        listener.close()
    structlog.get_logger().info("stopped")


def configuration(app: FastAPI) -> uvicorn.Config:
    """Give how uvicorn is to serve the app."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,  # the client's address is `addresses.py`'s business
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )


def leave() -> NoReturn:
    """End the process now, with 0.

    Python would first collect what torch has built up: over a second of processor time, which the grace does not have
    where all of it went into pictures.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def listen(host: str, port: int) -> socket.socket:
    """Open the port. Raises CannotServe."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so that asyncio turns Nagle off
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or str(error)
        raise CannotServe(f"{host}:{port}: cannot listen there: {why}: take another HOST or PORT") from None
    listener.setblocking(False)
    return listener


async def _run(server: _Server, listener: socket.socket, context: Context) -> None:
    signals = Signals(context.draining)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(signals.received.wait())
    failure = await _until_told(serving, stopped, context)
    interactive = signals.number == signal.SIGINT
    budget = Budget(context.settings, interactive=interactive or failure is not None)
    if failure is None:
        structlog.get_logger().info("draining: not ready any more, serving on", seconds=budget.turning_away)
        await asyncio.wait({serving}, timeout=budget.turning_away)
    server.should_exit = True
    await hand_over(context.engine, budget)
    await asyncio.wait({serving}, timeout=budget.sending)
    server.force_exit = True
    stopped.cancel()
    await serving
    await finished(context.engine.close, within=budget.sending / 2)
    if failure is not None:
        raise failure


async def _until_told(serving: asyncio.Task[None], stopped: asyncio.Task[bool], context: Context) -> CannotServe | None:
    """Wait for a signal while the engine starts and works; logs its phases. Gives what makes serving pointless."""
    log, clock = structlog.get_logger(), context.clock
    begun, shown = clock.monotonic(), None
    while not (serving.done() or stopped.done()):
        await asyncio.wait({serving, stopped}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        status = context.engine.status()
        if status.phase is not shown:
            shown = status.phase
            log.info("engine", **_told(status), since_start=round(clock.monotonic() - begun, 2))
        if status.phase is Phase.FAILED:
            return CannotServe(f"the model cannot be loaded: {status.detail}")
    if not stopped.done() and serving.done():
        return CannotServe("the server ended by itself; its log says more")
    return None


def _told(status: Status) -> dict[str, object]:
    return {"phase": str(status.phase), "detail": status.detail, "device": status.device, "model": status.model}
