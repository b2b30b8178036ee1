"""The small modern API, which the page speaks: one request, one stream, nothing left behind on the server.

- `POST /api/generate` answers with lines of JSON: accepted, queued, step (with a preview), picture, then done or
  error.
- `GET /api/info` is all that a page or a client has to know before it asks: models and what each draws best with,
  names, limits, where this replica runs and how far it is.
- `POST /api/png-info` reads the parameters out of a PNG. The page does that by itself, without sending the picture.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from webui_image.server import names, results
from webui_image.server.stream import EventStream, served
from webui_image.server.stream_request import GenerateBody, to_generation

if TYPE_CHECKING:
    from webui_image.server.context import Context

_LIMITS = (
    "prompt_characters",
    "smallest_side",
    "largest_side",
    "pixels",
    "steps",
    "pictures",
    "cfg_scale",
    "input_pixels",
)
_LINES = {
    200: {
        "description": "Lines of JSON, each with a `type`: accepted, queued, step, picture, then done or error.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


class PngInfoBody(BaseModel):
    """A PNG, JPEG or WebP as data URI or base64."""

    image: str


def router(context: Context) -> APIRouter:
    """Give the routes."""
    routes = APIRouter(prefix="/api", tags=["generate"])

    @routes.post("/generate", response_class=Response, responses=_LINES)  # type: ignore[arg-type]
    async def generate(body: GenerateBody, request: Request) -> Response:
        """Draw pictures. Close the connection to cancel."""
        generation = await results.in_pool(context, to_generation, body, context)
        model = names.model(context, generation.model, "model")
        submission = results.submit(context, generation, context.callers.of(request), kind="generate")
        return EventStream(context, submission, generation, model)

    @routes.get("/info")
    async def info() -> dict[str, Any]:
        """Say what can be asked for, and how far this replica is."""
        return described(context)

    @routes.post("/png-info")
    async def png_info(body: PngInfoBody) -> dict[str, Any]:
        """Read the parameters inside a picture; `parameters` are null where there are none."""
        return await results.in_pool(context, _read, body.image, context)

    return routes


def described(context: Context) -> dict[str, Any]:
    """Give the answer of `/api/info`. All of it lies in memory; nothing here waits for a device."""
    from webui_image.engine.samplers import SAMPLERS, SCHEDULERS
    from webui_image.pictures.upscale import LATENT_MODES, UPSCALERS

    engine, limits = context.engine, context.settings.limits
    status = engine.status()
    labels = [each.label for each in SCHEDULERS]
    return {
        "phase": "draining" if context.draining else str(status.phase),
        "detail": status.detail,
        "progress": round(status.progress, 3),
        "waiting": status.waiting,
        "served": served(context),
        "models": [asdict(each) for each in engine.models()],
        "samplers": [
            {"name": each.name, "schedulers": [label for label in labels if label in each.schedules]}
            for each in SAMPLERS
        ],
        "upscalers": [*LATENT_MODES, *UPSCALERS],
        "loras": [each.name for each in engine.loras()],
        "embeddings": [each.name for each in engine.embeddings()],
        "limits": {name: getattr(limits, name) for name in _LIMITS},
    }


def _read(text: str, context: Context) -> dict[str, Any]:
    from webui_image.pictures import png_info
    from webui_image.pictures.limits import PictureLimits
    from webui_image.prompts import infotext

    limits = PictureLimits(pixels=context.settings.limits.input_pixels)
    found = png_info.read(text, field="image", limits=limits)
    parameters = infotext.parse(found.text).to_parameters() if found.text else None
    return {"info": found.text, "items": found.items, "parameters": parameters}
