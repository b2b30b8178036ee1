"""The way down: not ready at once, serving until load balancers have turned away, then no longer than the grace.

A replica on a Spot GPU is told seconds before it goes. What it cannot finish is handed back with an answer that says
"send it again", so that no request is lost with it. The signals are handled here and not by uvicorn, which would stop
accepting at once, while load balancers still send. A second signal ends the process without further ado.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from webui_image.server.settings import Settings
    from webui_image.values.ports import Lifecycle

# What remains of the grace for sending the last answers and ending threads.
MARGIN_SECONDS = 2.0


class Draining:
    """Whether the replica is on its way out. Set once, never unset."""

    def __init__(self) -> None:
        self._begun = False

    def begin(self) -> None:
        """Turn away: readiness fails from now on."""
        self._begun = True

    def __bool__(self) -> bool:
        return self._begun


class Signals:
    """The first SIGTERM or SIGINT begins the way down, the second ends the process at once."""

    def __init__(self, draining: Draining) -> None:
        self.received = asyncio.Event()
        self.number: int | None = None
        self._draining = draining
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._receive, number)

    def _receive(self, number: int) -> None:
        if self.received.is_set():
            os._exit(128 + number)
        self.number = number
        self._draining.begin()
        self.received.set()


class Budget:
    """How the grace between SIGTERM and SIGKILL is spent, in seconds."""

    def __init__(self, settings: Settings, *, interactive: bool) -> None:
        # With Ctrl-C no load balancer has to be told.
        self.turning_away = 0.0 if interactive else settings.drain_seconds
        left = settings.termination_grace - self.turning_away
        self.sending = min(MARGIN_SECONDS, left / 2)
        self.finishing = max(left - self.sending, 0.0)


async def hand_over(engine: Lifecycle, budget: Budget) -> None:
    """Let the engine finish what fits and hand back the rest; returns when it has, or time is up."""
    log = structlog.get_logger()
    log.info("draining: finishing what fits", seconds=round(budget.finishing, 1))
    if await finished(engine.drain, budget.finishing, within=budget.finishing + budget.sending / 2):
        log.info("drained")
    else:
        log.error("draining: the engine did not end in time, and is left behind")


async def finished(work: Callable[..., object], *arguments: object, within: float) -> bool:
    """Run what blocks in a thread that nobody has to wait for; tell whether it ended within so many seconds."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        try:
            work(*arguments)
        except Exception:  # noqa: BLE001 - whatever it is, the process goes on to end
            structlog.get_logger().exception("draining: failed")
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=run, name="draining", daemon=True).start()
    with suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), within)
    return ended.is_set()
