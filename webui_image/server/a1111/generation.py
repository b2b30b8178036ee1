"""txt2img and img2img: the blocking calls. The client's going away cancels the request at the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request

from webui_image.server.a1111 import replies, requests, sources
from webui_image.server.a1111.schemas import Generate, ImageToImage, Pictures, TextToImage
from webui_image.server.results import collect, submit, unless_gone

if TYPE_CHECKING:
    from webui_image.server.context import Context
    from webui_image.values.generation import Generation


def router(context: Context) -> APIRouter:
    """Give the routes."""
    routes = APIRouter(tags=["generation"])

    @routes.post("/sdapi/v1/txt2img", response_model=Pictures)
    async def txt2img(request: Request, body: TextToImage) -> Any:
        """Draw pictures from a prompt."""
        body = requests.with_infotext(body)
        made = requests.generation(context, body, context.callers.options(context.callers.of(request)))
        return await _draw(request, body, requests.checked(context, made), "txt2img")

    @routes.post("/sdapi/v1/img2img", response_model=Pictures)
    async def img2img(request: Request, body: ImageToImage) -> Any:
        """Draw pictures from a prompt and a picture, all of it anew or what a mask shows."""
        body = requests.with_infotext(body)
        made = requests.generation(context, body, context.callers.options(context.callers.of(request)))
        requests.checked(context, made)  # what is cheap to see comes before the picture is decoded
        source = await unless_gone(request, sources.read(context, body))
        answer = await _draw(request, body, requests.checked(context, replace(made, source=source)), "img2img")
        if not body.include_init_images:
            answer["parameters"] |= {"init_images": None, "mask": None}
        return answer

    async def _draw(request: Request, body: Generate, made: Generation, kind: str) -> dict[str, Any]:
        caller = context.callers.of(request)
        subseed = made.variation.seed if made.variation else requests.subseed(body)
        async with submit(context, made, caller, kind=kind, task_id=body.force_task_id) as submission:
            collected = await collect(submission, request)
        return await replies.reply(context, body, collected, subseed)

    return routes
