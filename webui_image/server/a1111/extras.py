"""Pictures without a model: enlarging them, and reading the parameters out of a PNG."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request

from webui_image.pictures import decode, encode, png_info
from webui_image.pictures.upscale import UPSCALERS, upscale
from webui_image.prompts import infotext
from webui_image.server import names
from webui_image.server.a1111 import unsupported
from webui_image.server.a1111.schemas import (
    BatchImages,
    ExtraImage,
    ExtraImages,
    Extras,
    PngInfo,
    PngInfoAnswer,
    SingleImage,
)
from webui_image.server.a1111.sources import picture_limits
from webui_image.server.results import in_pool, unless_gone
from webui_image.values.errors import Invalid, TooLarge

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.server.context import Context
    from webui_image.server.settings import Limits

_UNCHANGED = "None"  # the upscaler that does nothing, as in A1111
_RESULT_PIXELS = 4  # times the pixels that are drawn at most


def router(context: Context) -> APIRouter:
    """Give the routes."""
    routes = APIRouter(tags=["pictures"])
    limits = context.settings.limits

    @routes.post("/sdapi/v1/extra-single-image", response_model=ExtraImage)
    async def extra_single_image(request: Request, body: SingleImage) -> Any:
        """Enlarge a picture."""
        _check(body)
        if not body.image:
            raise Invalid("image", "is empty: send a picture")
        work = in_pool(context, _enlarged, body, body.image, "image", limits)
        return {"html_info": "", "image": await unless_gone(request, work)}

    @routes.post("/sdapi/v1/extra-batch-images", response_model=ExtraImages)
    async def extra_batch_images(request: Request, body: BatchImages) -> Any:
        """Enlarge several pictures."""
        _check(body)
        if len(body.image_list) > limits.input_pictures:
            raise TooLarge("imageList", f"at most {limits.input_pictures} pictures are taken in one request")

        async def all_of_them() -> list[str]:
            work = [
                in_pool(context, _enlarged, body, each.data, f"imageList.{place}.data", limits)
                for place, each in enumerate(body.image_list)
            ]
            return list(await asyncio.gather(*work))

        return {"html_info": "", "images": await unless_gone(request, all_of_them())}

    @routes.post("/sdapi/v1/png-info", response_model=PngInfoAnswer)
    async def read_png_info(request: Request, body: PngInfo) -> Any:
        """Read the parameters that a picture carries."""
        return await unless_gone(request, in_pool(context, _png_info, body.image, limits))

    return routes


def _check(body: Extras) -> None:
    unsupported.refuse(body)
    for field in ("upscaler_1", "upscaler_2"):
        setattr(body, field, names.upscaler(getattr(body, field) or "None", list(UPSCALERS), field))


def _enlarged(body: Extras, text: str, field: str, limits: Limits) -> str:
    bounds = picture_limits(limits)
    parameters = png_info.read(text, field=field, limits=bounds).text
    image = decode.as_is(text, field=field, limits=bounds)
    image = image.convert("RGBA" if "A" in image.getbands() else "RGB")
    inner, crop = _sizes(body, image)
    if max(inner[0] * inner[1], crop[0] * crop[1]) > limits.pixels * _RESULT_PIXELS:
        where = "upscaling_resize" if body.resize_mode == 0 else "upscaling_resize_w"
        raise TooLarge(where, f"the result would have more than {limits.pixels * _RESULT_PIXELS} pixels")
    if body.upscaler_1 == _UNCHANGED:
        return encode.base64_png(image, parameters or None)
    result = upscale(image, body.upscaler_1, *inner)
    if body.extras_upscaler_2_visibility > 0 and body.upscaler_2 != _UNCHANGED:
        from PIL import ImageChops

        second = upscale(image, body.upscaler_2, *inner)
        result = ImageChops.blend(result, second, body.extras_upscaler_2_visibility)
    return encode.base64_png(_centre(result, crop), parameters or None)


def _sizes(body: Extras, image: Image.Image) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give the size to enlarge to, and the size that remains of it after cropping."""
    if body.resize_mode == 0:
        size = (max(int(image.width * body.upscaling_resize), 1), max(int(image.height * body.upscaling_resize), 1))
        return size, size
    wanted = (body.upscaling_resize_w, body.upscaling_resize_h)
    scale = max(wanted[0] / image.width, wanted[1] / image.height)
    if not body.upscaling_crop:
        scale = min(wanted[0] / image.width, wanted[1] / image.height)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    return size, wanted if body.upscaling_crop else size


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))


def _png_info(text: str, limits: Limits) -> dict[str, Any]:
    found = png_info.read(text, field="image", limits=picture_limits(limits))
    parameters = infotext.parse(found.text).as_fields() if found.text else {}
    # A1111 lists the text itself among the items too.
    items = {**found.items, **({"parameters": found.text} if found.text else {})}
    return {"info": found.text, "items": items, "parameters": parameters}
