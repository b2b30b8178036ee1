"""From a request to its pictures: the way between the engine's thread and the event loop, for all that generate.

`submit` hands a `Generation` to the engine and gives a `Submission`, whose events are read with `async for`. Leaving
its `async with` early, for whatever reason (the client is gone, time is up), cancels the request at the engine, so
that no route can forget to. `collect` waits for the pictures of a blocking request while it watches the client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog

from webui_image.clock import new_id
from webui_image.server.callers import Caller, Running
from webui_image.server.problems import ClientGone, TimedOut, reason
from webui_image.values.events import Cancelled, Event, Failed, Finished, PictureDone, Queued, Step

if TYPE_CHECKING:
    from starlette.requests import Request

    from webui_image.server.context import Context
    from webui_image.values.generation import Generation

__all__ = ["ClientGone", "Collected", "Submission", "collect", "in_pool", "note", "submit", "unless_gone"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Collected:
    """All that a request gave."""

    pictures: tuple[PictureDone, ...]  # by index
    finished: Finished
    running: Running


class Submission:
    """One request at the engine. Iterate it inside its `async with`; it ends after `Finished` or `Cancelled`.

    Raises the error of `Failed`, and TimedOut when the limit on a request's duration is reached.
    """

    def __init__(self, context: Context, generation: Generation, caller: Caller, running: Running) -> None:
        self.running = running
        self._context = context
        self._caller = caller
        self._loop = asyncio.get_running_loop()
        self._mail: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._over = False
        running.ticket = context.engine.submit(generation, user=caller.user, deliver=self._deliver)
        context.callers.begin(caller, running)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._over and self.running.ticket is not None:
            self.running.ticket.cancel()
            self._context.metrics.failed(self.running.kind, "cancelled")
        self._context.callers.end(self._caller, self.running)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while not self._over:
            event = await self.next()
            if event is not None:
                yield event

    async def next(self, seconds: float | None = None) -> Event | None:
        """Give the next event; None when `seconds` pass without one, so that a stream can show that it lives."""
        clock, limit = self._context.clock, self._context.settings.limits.request_seconds
        while not self._mail:
            left = self.running.started + limit - clock.monotonic()
            if left <= 0:
                self._context.metrics.failed(self.running.kind, "timed_out")
                raise TimedOut(f"not finished after {limit:g} s: ask for less")
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left if seconds is None else min(left, seconds))
            except TimeoutError:
                if seconds is not None and seconds < left:
                    return None
        return self._account(self._mail.popleft())

    def _account(self, event: Event) -> Event:
        metrics, kind = self._context.metrics, self.running.kind
        self._over = self._over or isinstance(event, Finished | Failed | Cancelled)
        if isinstance(event, Failed):
            metrics.failed(kind, reason(event.error))
            raise event.error
        if isinstance(event, PictureDone):
            metrics.picture(kind)
        elif isinstance(event, Finished):
            metrics.finished(kind, self._context.clock.monotonic() - self.running.started)
        return event

    def _deliver(self, event: Event) -> None:
        try:
            self._loop.call_soon_threadsafe(self._take, event)
        except RuntimeError:
            return  # the loop is closed: the process ends, and nobody listens

    def _take(self, event: Event) -> None:
        note(self.running, event)
        # A slow reader gets the latest step of a picture, not all of them.
        for place, waiting in enumerate(self._mail):
            if isinstance(event, Queued) and isinstance(waiting, Queued):
                self._mail[place] = event
                break
            if isinstance(event, Step) and isinstance(waiting, Step) and event.index == waiting.index:
                self._mail[place] = event
                break
        else:
            self._mail.append(event)
        self._arrived.set()


def submit(
    context: Context, generation: Generation, caller: Caller, *, kind: str, task_id: str | None = None
) -> Submission:
    """Hand a request to the engine. Raises QueueFull, NotReady, or Invalid where only the engine can tell."""
    running = Running(
        task_id=task_id or new_id(),
        kind=kind,
        count=generation.count,
        started=context.clock.monotonic(),
        timestamp=context.clock.now().strftime("%Y%m%d%H%M%S"),
    )
    try:
        submission = Submission(context, generation, caller, running)
    except Exception as error:
        context.metrics.failed(kind, reason(error))
        raise
    _log_taken(context, generation, caller, running)
    return submission


async def collect(submission: Submission, request: Request) -> Collected:
    """Wait for all pictures. Raises ClientGone when the client closes its connection, else as `Submission`."""
    return await unless_gone(request, _collect(submission))


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, a coroutine, but give it up with ClientGone when the client closes its connection."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def in_pool(context: Context, work: Callable[..., T], *arguments: Any) -> T:
    """Run what takes the processor's time, such as encoding a PNG, beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(context.pool, work, *arguments)


def note(running: Running, event: Event) -> None:
    """Keep what progress reports."""
    if isinstance(event, Queued):
        running.position = event.position
    elif isinstance(event, Step):
        running.position = None
        running.index, running.step, running.steps = event.index, event.step, event.steps
        running.fractions[event.index] = event.step / max(event.steps, 1)
        running.preview = event.preview or running.preview
    elif isinstance(event, PictureDone):
        running.position = None
        running.fractions[event.index] = 1.0


def _log_taken(context: Context, generation: Generation, caller: Caller, running: Running) -> None:
    # What logging drops unless it was asked for is not even handed to it.
    prompts = {"prompt": generation.prompt, "negative_prompt": generation.negative_prompt}
    structlog.get_logger().info(
        "request taken",
        kind=running.kind,
        user=caller.hashed,
        model=generation.model,
        width=generation.width,
        height=generation.height,
        steps=generation.steps,
        count=generation.count,
        **(prompts if context.settings.log_prompts else {}),
    )


async def _collect(submission: Submission) -> Collected:
    pictures: list[PictureDone] = []
    async for event in submission:
        if isinstance(event, PictureDone):
            pictures.append(event)
        elif isinstance(event, Finished):
            return Collected(tuple(sorted(pictures, key=lambda each: each.index)), event, submission.running)
    raise ClientGone  # cancelled by somebody: there is nothing to answer


async def _gone(request: Request) -> None:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
