"""Enlarging pictures, and the names A1111's clients call the ways by.

The first ones need no model. `Flat drawing` is for pictures of few colours with clear outlines, which the others leave
blurred or jagged: it enlarges smoothly, then moves every pixel on an outline towards the nearer of the two colours that
meet there, keeping a narrow transition.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from webui_image.values.errors import Invalid

_Array = NDArray[np.float32]
_Packed = NDArray[np.uint32]
_Upscaler = Callable[[Image.Image, tuple[int, int]], Image.Image]

_FAINT = 24.0  # differences of less, of 255, are shading and noise and no outline

# A1111's names of ways to enlarge latents: torch's interpolation mode, and whether it smooths when making smaller.
LATENT_MODES: dict[str, tuple[str, bool]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}


def upscale(image: Image.Image, name: str, width: int, height: int, *, field: str = "upscaler") -> Image.Image:
    """Give the picture at width x height pixels. `None` is Lanczos, as in A1111. Raises Invalid for unknown names."""
    enlarge = UPSCALERS.get(name)
    if enlarge is None:
        raise Invalid(field, f"{name[:60]!r} is not an upscaler; there are {', '.join(UPSCALERS)}")
    return image.copy() if image.size == (width, height) else enlarge(image, (width, height))


def _filtered(kind: Image.Resampling) -> _Upscaler:
    return lambda image, size: image.resize(size, kind)


def _flat_drawing(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    scale = max(size[0] / image.width, size[1] / image.height)
    if scale <= 1.5:
        return image.resize(size, Image.Resampling.LANCZOS)
    smooth = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(smooth, dtype=np.float32)
    dark, bright = _colours_around(smooth, round(scale))
    axis = bright - dark
    contrast = (axis * axis).sum(axis=2, keepdims=True)
    position = ((pixels - dark) * axis).sum(axis=2, keepdims=True) / np.maximum(contrast, 1.0)
    sharp = dark + axis * ((position - 0.5) * np.float32(scale) + 0.5).clip(0.0, 1.0)
    strength = (np.sqrt(contrast) / _FAINT - 1.0).clip(0.0, 1.0)
    return Image.fromarray((pixels + strength * (sharp - pixels)).clip(0, 255).round().astype(np.uint8))


def _colours_around(image: Image.Image, radius: int) -> tuple[_Array, _Array]:
    """Give for each pixel the darkest and the brightest colour within a square around it.

    Brightness and colour are packed into one number, so that the least number brings its colour along.
    """
    colours = np.asarray(image, dtype=np.uint32)
    packed = np.asarray(image.convert("L"), dtype=np.uint32)
    for band in range(3):
        packed = packed << np.uint32(8) | colours[..., band]
    return _unpacked(_extremes(packed, radius, np.minimum)), _unpacked(_extremes(packed, radius, np.maximum))


def _unpacked(packed: _Packed) -> _Array:
    return np.stack([packed >> np.uint32(shift) & np.uint32(255) for shift in (16, 8, 0)], axis=2).astype(np.float32)


def _extremes(packed: _Packed, radius: int, choose: Callable[[_Packed, _Packed], _Packed]) -> _Packed:
    """Give each pixel's extreme within a square around it; windows double until they are large enough."""
    for _ in range(2):
        found, reach, length = np.pad(packed, [(radius, radius), (0, 0)], mode="edge"), 1, 2 * radius + 1
        while reach < length:
            step = min(reach, length - reach)
            found = choose(found[:-step], found[step:])
            reach += step
        packed = found.T
    return packed


UPSCALERS: dict[str, _Upscaler] = {
    "None": _filtered(Image.Resampling.LANCZOS),
    "Lanczos": _filtered(Image.Resampling.LANCZOS),
    "Nearest": _filtered(Image.Resampling.NEAREST),
    "Bicubic": _filtered(Image.Resampling.BICUBIC),
    "Flat drawing": _flat_drawing,
}
