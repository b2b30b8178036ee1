"""Covering the masked part of a picture with its surroundings' colours (A1111's mask content `fill`).

The known pixels are averaged to ever coarser pictures; on the way back every level takes what it does not know from the
coarser one. So a hole of any size gets smooth colours, those near its edge like the edge, in time proportional to the
number of pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_Array = NDArray[np.floating[Any]]


def smear(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Give the RGB picture with its masked part covered; half masked pixels are mixed. Same size as `mask` (L)."""
    colours = np.asarray(image.convert("RGB"), dtype=np.float32)
    known = 1.0 - np.asarray(mask.convert("L"), dtype=np.float32)[..., None] / 255.0
    if not known.any():
        return Image.new("RGB", image.size, tuple(int(value) for value in colours.mean(axis=(0, 1)).round()))
    levels = [(colours * known, known)]
    while max(levels[-1][1].shape[:2]) > 1:
        levels.append(_coarser(*levels[-1]))
    total, weight = levels[-1]
    filled = total / weight
    for total, weight in reversed(levels[:-1]):
        filled = total + (1.0 - weight) * _doubled(filled, weight.shape[0], weight.shape[1])
    covered = Image.fromarray(filled.clip(0, 255).round().astype(np.uint8))
    return Image.composite(covered, image.convert("RGB"), mask.convert("L").point([0] + [255] * 255))


def _coarser(total: _Array, weight: _Array) -> tuple[_Array, _Array]:
    """Give the known colours of 2 x 2 pixels as one; one known pixel of the four is enough to know it wholly."""
    sums, weights = _sums(total), _sums(weight)
    capped = np.minimum(weights, np.float32(1))
    return sums * (capped / np.maximum(weights, np.float32(1e-6))), capped


def _sums(array: _Array) -> _Array:
    even = np.pad(array, [(0, array.shape[0] % 2), (0, array.shape[1] % 2), (0, 0)])
    found: _Array = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return found


def _doubled(array: _Array, height: int, width: int) -> _Array:
    """Give the picture at about twice its size, blended between pixels so that no blocks show."""
    bands = [
        np.asarray(Image.fromarray(array[..., band]).resize((width, height), Image.Resampling.BILINEAR))
        for band in range(array.shape[2])
    ]
    return np.stack(bands, axis=2)
