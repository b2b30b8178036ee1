"""The picture and the mask that img2img starts from, read beside the event loop and within the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webui_image.pictures import decode
from webui_image.pictures.limits import PictureLimits
from webui_image.server.a1111 import unsupported
from webui_image.server.results import in_pool
from webui_image.values.errors import Invalid, Unsupported
from webui_image.values.generation import Mask, MaskFill, ResizeMode, Source

if TYPE_CHECKING:
    from webui_image.server.a1111.schemas import ImageToImage
    from webui_image.server.context import Context
    from webui_image.server.settings import Limits

_DENOISING = 0.75


async def read(context: Context, body: ImageToImage) -> Source:
    """Decode the picture and the mask. Raises Invalid, Unsupported or TooLarge naming the field."""
    unsupported.refuse(body)
    if not body.init_images:
        raise Invalid("init_images", "is empty: send one picture")
    if len(body.init_images) > 1:
        raise Unsupported("init_images", "one picture a request is supported: send the others in requests of their own")
    return await in_pool(context, _source, body, context.settings.limits)


def picture_limits(limits: Limits) -> PictureLimits:
    """Give the bounds in the decoder's own terms."""
    return PictureLimits(encoded_bytes=limits.body_bytes, pixels=limits.input_pixels)


def _source(body: ImageToImage, limits: Limits) -> Source:
    bounds = picture_limits(limits)
    image = decode.picture(body.init_images[0], field="init_images", limits=bounds)
    mask = None
    if body.mask:
        mask = Mask(
            image=decode.mask(body.mask, field="mask", limits=bounds),
            blur=_blur(body),
            fill=MaskFill(body.inpainting_fill),
            only_masked=body.inpaint_full_res,
            padding=body.inpaint_full_res_padding,
            invert=bool(body.inpainting_mask_invert),
        )
    strength = _DENOISING if body.denoising_strength is None else body.denoising_strength
    return Source(image, strength, ResizeMode(body.resize_mode), mask)


def _blur(body: ImageToImage) -> int:
    if body.mask_blur is not None:
        return body.mask_blur
    if body.mask_blur_x != body.mask_blur_y:
        raise Unsupported("mask_blur_x", "not supported: mask_blur_x and mask_blur_y have to be equal")
    return body.mask_blur_x
