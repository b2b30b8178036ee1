"""progress, interrupt and skip, of the caller's own requests.

With several at once, `force_task_id` (of the request) as `task_id` (of these calls) tells which one is meant; without
it progress shows the oldest, and interrupt and skip reach all of the caller's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request

from webui_image.pictures import encode
from webui_image.server.a1111.schemas import Progress, State
from webui_image.server.results import in_pool

if TYPE_CHECKING:
    from webui_image.server.callers import Running
    from webui_image.server.context import Context

Task = Annotated[str | None, Query(max_length=200, description="the request's force_task_id")]


def router(context: Context) -> APIRouter:
    """Give the routes."""
    routes = APIRouter(tags=["progress"])

    def mine(request: Request, task_id: str | None) -> list[Running]:
        return context.callers.running(context.callers.of(request), task_id)

    @routes.get("/sdapi/v1/progress", response_model=Progress)
    async def progress(request: Request, task_id: Task = None, skip_current_image: bool = False) -> Progress:
        """Tell how far the caller's request has got; progress and job_count are 0 where it has none."""
        found = mine(request, task_id)
        if not found:
            return Progress(progress=0.0, eta_relative=0.0, state=State())
        running = found[0]
        image = None
        if running.preview is not None and not skip_current_image:
            image = await in_pool(context, encode.base64_png, running.preview, None)
        seconds = context.clock.monotonic() - running.started
        return Progress(
            # Clients take exactly 0 for "nothing is being done".
            progress=max(running.progress, 0.01),
            eta_relative=seconds / running.progress * (1 - running.progress) if running.progress else 0.0,
            state=_state(running),
            current_image=image,
            textinfo=f"{running.position} before it" if running.position else None,
            current_task=running.task_id,
        )

    @routes.post("/sdapi/v1/interrupt")
    async def interrupt(request: Request, task_id: Task = None) -> dict[str, Any]:
        """End the caller's requests: what is being drawn is answered as it stands."""
        for running in mine(request, task_id):
            running.interrupted = True
            if running.ticket is not None:
                running.ticket.interrupt()
        return {}

    @routes.post("/sdapi/v1/skip")
    async def skip(request: Request, task_id: Task = None) -> None:
        """End the pictures that the caller's requests draw at present, and go on with their next ones."""
        for running in mine(request, task_id):
            running.skipped = True
            if running.ticket is not None:
                running.ticket.skip()

    return routes


def _state(running: Running) -> State:
    return State(
        skipped=running.skipped,
        interrupted=running.interrupted,
        stopping_generation=running.interrupted,
        job=running.task_id,
        job_count=running.count,
        job_timestamp=running.timestamp,
        job_no=running.done,
        sampling_step=running.step,
        sampling_steps=running.steps,
    )
