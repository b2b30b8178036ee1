"""Before and after inpainting, as A1111 does it: what the model is given, and how its picture is put back.

`prepare` turns a source (picture, mask and their settings) into what the engine works on; `finish` lays the engine's
picture over the original. Where the blurred mask is black the result has the original's colours, byte for byte.

With `only_masked`, the part around the mask is cut out, at the aspect of the size asked for, and drawn at that full
size; the result then has the original's size, as in A1111.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageChops, ImageFilter, ImageOps

from webui_image.pictures.resize import crop, fill, resize
from webui_image.pictures.smear import smear
from webui_image.values.generation import Mask, MaskFill, Source

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Overlay:
    """The original, and where (white) the new picture is laid over it; `region` is the part that was cut out."""

    original: Image.Image
    mask: Image.Image
    region: Box | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the engine works on: an RGB picture and, with a mask, an `L` mask, both at the size asked for.

    `fill` is for the engine where it is one of the two latent kinds; the others are done already.
    """

    image: Image.Image
    latent_mask: Image.Image | None = None
    fill: MaskFill = MaskFill.ORIGINAL
    overlay: Overlay | None = None


def prepare(source: Source, width: int, height: int) -> Prepared:
    """Give what the engine works on for a picture of width x height. Raises Unsupported for ResizeMode.LATENT."""
    image = source.image.convert("RGB")
    if source.mask is None:
        return Prepared(resize(image, source.resize_mode, width, height))
    mask = blurred(source.mask, image.size)
    region = region_around(mask, source.mask.padding, width, height) if source.mask.only_masked else None
    if region is not None:
        overlay = Overlay(image, mask, region)
        image, mask = fill(image.crop(region), width, height), fill(mask.crop(region), width, height)
    else:
        image = resize(image, source.resize_mode, width, height)
        mask = resize(mask, source.resize_mode, width, height)
        overlay = Overlay(image, ImageChops.add(mask, mask))
    if source.mask.fill is MaskFill.FILL:
        image = smear(image, mask)
    return Prepared(image, mask, source.mask.fill, overlay)


def finish(result: Image.Image, prepared: Prepared) -> Image.Image:
    """Give the engine's picture laid over the original; unchanged where there was no mask."""
    overlay = prepared.overlay
    if overlay is None:
        return result
    drawn = result.convert("RGB")
    if overlay.region is not None:
        left, top, right, bottom = overlay.region
        drawn = overlay.original.copy()
        drawn.paste(crop(result.convert("RGB"), right - left, bottom - top), (left, top))
    elif drawn.size != overlay.original.size:
        drawn = drawn.resize(overlay.original.size, Image.Resampling.LANCZOS)
    return Image.composite(drawn, overlay.original, overlay.mask)


def blurred(mask: Mask, size: tuple[int, int]) -> Image.Image:
    """Give the mask as `L` at a picture's size, inverted and blurred as it asks for; white is repainted."""
    image = mask.image.convert("L")
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    if mask.invert:
        image = ImageOps.invert(image)
    radius = min(mask.blur, max(size))
    return image.filter(ImageFilter.GaussianBlur(radius)) if radius > 0 else image


def latent_mask(mask: Image.Image, columns: int, rows: int) -> Image.Image:
    """Give a mask at the size of the latents, each cell 0 or 255: repainted if half of it or more is white."""
    return mask.resize((columns, rows), Image.Resampling.BOX).point([0] * 128 + [255] * 128)


def region_around(mask: Image.Image, padding: int, width: int, height: int) -> Box | None:
    """Give the part around the white of a mask that has, as far as the picture reaches, the aspect width : height.

    None where the mask is black all over: there is nothing to cut out.
    """
    box = mask.getbbox()
    if box is None:
        return None
    left, top = max(box[0] - padding, 0), max(box[1] - padding, 0)
    right, bottom = min(box[2] + padding, mask.width), min(box[3] + padding, mask.height)
    if (right - left) * height < (bottom - top) * width:
        left, right = _widened(left, right, round((bottom - top) * width / height), mask.width)
    else:
        top, bottom = _widened(top, bottom, round((right - left) * height / width), mask.height)
    return left, top, right, bottom


def _widened(start: int, end: int, length: int, limit: int) -> tuple[int, int]:
    """Give a stretch of `length` around the given one, moved and at last cut so that it lies within 0 to limit."""
    length = max(end - start, min(length, limit))
    start = min(max(start - (length - (end - start)) // 2, 0), limit - length)
    return start, start + length
