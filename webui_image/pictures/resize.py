"""Bringing a picture to the size asked for, in A1111's three ways."""

from __future__ import annotations

import numpy as np
from PIL import Image

from webui_image.values.errors import Unsupported
from webui_image.values.generation import ResizeMode

LANCZOS = Image.Resampling.LANCZOS


def resize(image: Image.Image, mode: ResizeMode, width: int, height: int) -> Image.Image:
    """Give the picture at width x height pixels: stretched, cropped, or filled up. Never the same object changed.

    Raises Unsupported for the latent mode, which is no work on pixels.
    """
    if mode is ResizeMode.LATENT:
        raise Unsupported("resize_mode", "3 (latent upscale) is not supported; send 0, 1 or 2")
    if image.size == (width, height):
        return image.copy()
    if mode is ResizeMode.STRETCH:
        return image.resize((width, height), LANCZOS)
    return crop(image, width, height) if mode is ResizeMode.CROP else fill(image, width, height)


def crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """Keep the aspect and cut off, evenly on both sides, what is too much."""
    # Cut before enlarging: of a picture of 1 x 8192 the other order would make billions of pixels.
    scale = min(image.width / width, image.height / height)
    left, top = (image.width - width * scale) / 2, (image.height - height * scale) / 2
    box = (max(left, 0.0), max(top, 0.0), min(image.width - left, image.width), min(image.height - top, image.height))
    return image.resize((width, height), LANCZOS, box=box)


def fill(image: Image.Image, width: int, height: int) -> Image.Image:
    """Keep the aspect and continue the edges' colours, evenly on both sides, where something is missing."""
    scale = min(width / image.width, height / image.height)
    size = (min(max(round(image.width * scale), 1), width), min(max(round(image.height * scale), 1), height))
    inner = image.resize(size, LANCZOS)
    left, top = (width - inner.width) // 2, (height - inner.height) // 2
    around = [(top, height - inner.height - top), (left, width - inner.width - left)]
    pixels = np.asarray(inner)
    return Image.fromarray(np.pad(pixels, around + [(0, 0)] * (pixels.ndim - 2), mode="edge"))
