"""A request's events as lines of JSON, sent as they come: the form in which any replica can serve any request.

Nothing about a request outlives its connection. Closing it cancels at the engine's next step; an error that comes
after the first line is the last line; and a line at least every few seconds tells balancers, and the page, that all is
well. A reader that is slow gets the latest step rather than all of them (`results.Submission` keeps no backlog), and
one that does not read at all is given up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from webui_image.server.problems import problem, reason
from webui_image.server.results import ClientGone, in_pool, unless_gone
from webui_image.values.errors import Wedged
from webui_image.values.events import Cancelled, Event, Finished, PictureDone, Queued, Step

if TYPE_CHECKING:
    from PIL import Image
    from starlette.types import Receive, Scope, Send

    from webui_image.server.context import Context
    from webui_image.server.results import Submission
    from webui_image.values.generation import Generation
    from webui_image.values.ports import ModelInfo

Line = dict[str, Any]
SILENCE = 8.0  # seconds after which the last state is said again
PATIENCE = 60.0  # seconds for a reader to take one line
_PREVIEW_QUALITY = 80


class EventStream(Response):
    """The answer to a request that the engine has taken."""

    media_type = "application/x-ndjson"

    def __init__(self, context: Context, submission: Submission, generation: Generation, model: ModelInfo) -> None:
        # X-Accel-Buffering and no-transform: nobody on the way may hold lines back.
        headers = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._lines = Lines(context, generation, model, submission.running.started)
        self._submission = submission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def line(value: Line) -> None:
            body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
            async with asyncio.timeout(PATIENCE):
                await send({"type": "http.response.body", "body": body, "more_body": True})

        async with self._submission:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                await unless_gone(Request(scope, receive), self._speak(line))
                await send({"type": "http.response.body", "body": b""})
            except (ClientGone, OSError, TimeoutError):
                return  # leaving the submission cancels it

    async def _speak(self, line: Callable[[Line], Awaitable[None]]) -> None:
        await line(self._lines.accepted(self._submission.running.task_id))
        state: Line = {"type": "queued", "position": 0}
        event: Event | None = None
        try:
            while not isinstance(event, Finished | Cancelled):
                event = await self._submission.next(SILENCE)
                said = state if event is None else await self._lines.of(event)
                if said is not None:
                    await line(said)
                    if said["type"] in {"queued", "step"}:
                        state = {name: value for name, value in said.items() if name != "preview"}
        except (OSError, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - the last line of the stream says so
            if reason(error) == "internal":
                structlog.get_logger().exception("stream failed")
            await line(failure(error))


class Lines:
    """Turns the events of one request into lines."""

    def __init__(self, context: Context, generation: Generation, model: ModelInfo, started: float) -> None:
        self._context = context
        self._generation = generation
        self._model = model
        self._started = started

    def accepted(self, task_id: str) -> Line:
        """Give the first line: what will be drawn, where."""
        asked = self._generation
        return {
            "type": "accepted",
            "id": task_id,
            "seed": asked.seed,
            "count": asked.count,
            "width": asked.width,
            "height": asked.height,
            "steps": asked.steps,
            "model": self._model.name,
            "served": served(self._context),
        }

    async def of(self, event: Event) -> Line | None:
        """Give the line for an event; None for one that says nothing to the client. Encodes beside the event loop."""
        if isinstance(event, Queued):
            return {"type": "queued", "position": event.position}
        if isinstance(event, Step):
            line: Line = {"type": "step", "index": event.index, "step": event.step, "steps": event.steps}
            if event.preview is not None:
                line["preview"] = await in_pool(self._context, preview, event.preview)
            return line
        if isinstance(event, PictureDone):
            return await self._picture(event)
        if isinstance(event, Finished):
            return {"type": "done", "seconds": round(event.seconds, 3), "interrupted": event.interrupted}
        if isinstance(event, Cancelled):
            return {"type": "error", "code": "cancelled", "message": "cancelled by its user", "retry": False}
        return None

    async def _picture(self, done: PictureDone) -> Line:
        from webui_image.prompts import infotext

        text = infotext.write(
            self._generation,
            index=done.index,
            model=self._model.name,
            model_hash=self._model.sha256[:10],
            seed=done.seed,
            variation_seed=done.variation_seed,
            drawn_at=done.drawn_at,
        )
        return {
            "type": "picture",
            "index": done.index,
            "seed": done.seed,
            "variation_seed": done.variation_seed,
            "width": done.image.width,
            "height": done.image.height,
            "partial": done.partial,
            "model": self._model.name,
            "seconds": round(self._context.clock.monotonic() - self._started, 3),
            "parameters": text,
            "png": await in_pool(self._context, _png, done.image, text),
        }


def failure(error: BaseException) -> Line:
    """Give the last line of a stream that fails: the same words as the answer to a request that fails at once."""
    found = problem(error)
    line: Line = {"type": "error", "code": found.body["reason"], "message": str(found.body["errors"])}
    detail = found.body["detail"]
    if isinstance(detail, list):
        line |= {"field": ".".join(detail[0]["loc"][1:]), "message": detail[0]["msg"]}
    # A wedged device is this replica's trouble: another one can draw it.
    line["retry"] = bool(found.body.get("retry")) or isinstance(error, Wedged)
    if "retry_after" in found.body:
        line["retry_after"] = found.body["retry_after"]
    return line


def served(context: Context) -> dict[str, str]:
    """Say where this replica runs, for people to read."""
    place = context.settings.place
    known = place.accelerator not in {"", "unknown"}
    gpu = place.accelerator if known else context.engine.status().device
    return {"region": place.region, "gpu": gpu, "version": place.version}


def preview(image: Image.Image) -> str:
    """Give a preview as a data URI."""
    from webui_image.pictures import encode

    return "data:image/jpeg;base64," + encode.to_base64(encode.jpeg(image, _PREVIEW_QUALITY))


def _png(image: Image.Image, text: str) -> str:
    from webui_image.pictures import encode

    return encode.base64_png(image, text)
