"""Reads a picture back: which background, colour and shape its pixels show, so that adherence is measured, not judged.

No network is involved. The border gives the background, the pixels farthest from it the colour, and the outline is
compared with every shape as the drawing code draws it.
"""

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from webui_image.demo_model.train.drawing import Scene, draw
from webui_image.demo_model.vocabulary import PALETTE, SHAPES

__all__ = ["Reading", "read"]

_SIDE: Final = 24
_LEAST_DISTANCE: Final = 45.0  # in RGB; nearer to the background is no shape


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture shows; colour and shape are empty when nothing stands out from the background."""

    background: str
    colour: str
    shape: str


def read(picture: Image.Image | np.ndarray) -> Reading:
    """Background, colour and shape of a picture with one shape, each the nearest in the whole vocabulary."""
    pixels = np.asarray(picture, dtype=np.float32)[..., :3]
    ground = np.median(_border(pixels), axis=0)
    distance = np.linalg.norm(pixels - ground, axis=-1)
    far = np.quantile(distance, 0.995)
    if far < _LEAST_DISTANCE:
        return Reading(_nearest(ground), "", "")
    colour = np.median(pixels[distance > 0.6 * far], axis=0)
    return Reading(_nearest(ground), _nearest(colour), _shape(_coverage(pixels, ground, colour)))


def _border(pixels: np.ndarray) -> np.ndarray:
    edges = [pixels[:2], pixels[-2:], pixels[:, :2].swapaxes(0, 1), pixels[:, -2:].swapaxes(0, 1)]
    return np.concatenate([edge.reshape(-1, 3) for edge in edges])


def _nearest(colour: np.ndarray) -> str:
    return min(PALETTE, key=lambda name: float(np.linalg.norm(colour - np.array(PALETTE[name]))))


def _coverage(pixels: np.ndarray, ground: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """How much of each pixel the shape covers, 0..1: its position on the way from background to colour."""
    way = colour - ground
    share: np.ndarray = np.clip((pixels - ground) @ way / (way @ way), 0, 1)
    return share


def _shape(coverage: np.ndarray) -> str:
    seen = _normalised(coverage)
    if seen is None:
        return ""
    return min(SHAPES, key=lambda shape: min(float(np.abs(seen - pattern).mean()) for pattern in _patterns(shape)))


def _normalised(coverage: np.ndarray) -> np.ndarray | None:
    """Cut out the covered part, scaled to a fixed square without changing its proportions."""
    rows, columns = (np.flatnonzero((coverage > 0.5).any(axis=axis)) for axis in (1, 0))
    if len(rows) < 4 or len(columns) < 4:
        return None
    half = max(rows[-1] - rows[0], columns[-1] - columns[0]) / 2 + 1
    x, y = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    image = Image.fromarray((coverage * 255).astype(np.uint8))
    box = (x - half, y - half, x + half, y + half)
    scaled = image.transform((_SIDE * 2, _SIDE * 2), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    return np.asarray(scaled.reduce(2), dtype=np.float32) / 255


@functools.cache
def _patterns(shape: str) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    white, black = np.array(PALETTE["white"], np.float32), np.array(PALETTE["black"], np.float32)
    patterns = []
    for size in ("small", "medium", "large", "small", "medium", "large"):
        pixels = draw(Scene("white", "black", shape, size, "center"), rng).astype(np.float32)
        pattern = _normalised(_coverage(pixels, white, black))
        if pattern is not None:
            patterns.append(pattern)
    return tuple(patterns)
