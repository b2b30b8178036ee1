"""Drawings by code: the training data, endless and free of anyone's rights.

A scene is drawn four times too large and averaged down, so edges are smooth as in a picture and not a staircase.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from webui_image.demo_model.architecture import NATIVE_SIDE
from webui_image.demo_model.vocabulary import BACKGROUNDS, COLOURS, PALETTE, PLACES, SHAPES, SIZES

__all__ = ["Scene", "collage", "draw", "outline", "random_scene"]

Point = tuple[float, float]
_OVERSAMPLING: Final = 4
_LATENT: Final = 8  # pixels
_TILT: Final = math.radians(6)


@dataclass(frozen=True, slots=True)
class Scene:
    """One shape on a plain background, in the vocabulary's words."""

    background: str
    colour: str
    shape: str
    size: str
    place: str


def random_scene(rng: np.random.Generator) -> Scene:
    """Any scene whose shape is visible on its background."""
    background = str(rng.choice(BACKGROUNDS))
    return Scene(
        background=background,
        colour=str(rng.choice([colour for colour in COLOURS if colour != background])),
        shape=str(rng.choice(SHAPES)),
        size=str(rng.choice(list(SIZES))),
        place=str(rng.choice(list(PLACES))),
    )


def draw(scene: Scene, rng: np.random.Generator | None = None, width: int = 64, height: int = 64) -> np.ndarray:
    """Draw the scene: uint8 of shape (height, width, 3).

    Places are whole latents (8 pixels) apart: the same shape has the same latents everywhere, which a small network
    can learn. With `rng` place, size and tilt vary a little, as the autoencoder's pictures do.
    """
    half = SIZES[scene.size] * min(width, height, NATIVE_SIDE)
    x, y = (
        _coordinate(direction, length, half)
        for direction, length in zip(PLACES[scene.place], (width, height), strict=True)
    )
    tilt = 0.0
    if rng is not None:
        half *= rng.uniform(0.92, 1.0)
        x, y = (place + rng.uniform(-4, 4) for place in (x, y))
        tilt = rng.uniform(-_TILT, _TILT)
    canvas = _canvas(width, height, PALETTE[scene.background])
    _paint(canvas, scene.shape, (x, y), half, tilt, colour=PALETTE[scene.colour])
    return np.asarray(canvas.reduce(_OVERSAMPLING))


def collage(rng: np.random.Generator, side: int = 64) -> np.ndarray:
    """Draw several shapes in any colours, for pictures that people bring along: uint8 of shape (side, side, 3)."""
    canvas = _canvas(side, side, _any_colour(rng))
    for _ in range(rng.integers(1, 7)):
        centre = (rng.uniform(0, side), rng.uniform(0, side))
        half, tilt = rng.uniform(4, 40), rng.uniform(0, math.tau)
        _paint(canvas, str(rng.choice(SHAPES)), centre, half, tilt, colour=_any_colour(rng))
    return np.asarray(canvas.reduce(_OVERSAMPLING))


def outline(shape: str) -> list[Point]:
    """Give the shape's outer edge as a polygon within -1..1, y downwards."""
    match shape:
        case "circle" | "ring":
            return _circle()
        case "square":
            return [(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)]
        case "triangle":
            return [(0, -0.98), (0.98, 0.8), (-0.98, 0.8)]
        case "star":
            radii = [1.0, 0.42] * 5
            return [(r * math.sin(i * math.pi / 5), -r * math.cos(i * math.pi / 5)) for i, r in enumerate(radii)]
        case "heart":
            return [_heart(i * math.tau / 60) for i in range(60)]
        case "diamond":
            return [(0, -1), (0.7, 0), (0, 1), (-0.7, 0)]
        case "cross":
            quarter = [(0.32, -1.0), (0.32, -0.32), (1.0, -0.32)]
            turned = [(-y, x) for x, y in quarter]
            return [*quarter, *turned, *((-x, -y) for x, y in quarter), *((-x, -y) for x, y in turned)]
        case _:
            raise ValueError(f"shape {shape!r} is unknown; known: {', '.join(SHAPES)}")


def _circle(radius: float = 1.0) -> list[Point]:
    return [(radius * math.cos(i * math.tau / 60), radius * math.sin(i * math.tau / 60)) for i in range(60)]


def _heart(angle: float) -> Point:
    x = math.sin(angle) ** 3
    y = 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle)
    return x, -(y + 2.5) / 15.5


def _coordinate(direction: int, length: int, half: float) -> float:
    return length / 2 + direction * ((length / 2 - half) // _LATENT * _LATENT)


def _canvas(width: int, height: int, colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), colour)


def _paint(
    canvas: Image.Image, shape: str, centre: Point, half: float, tilt: float, *, colour: tuple[int, int, int]
) -> None:
    painter = ImageDraw.Draw(canvas)
    if shape == "ring":
        edge = [_to_canvas(p, centre, half, tilt) for p in _circle(0.78)]
        painter.line([*edge, *edge[:3]], fill=colour, width=round(0.44 * half * _OVERSAMPLING), joint="curve")
    else:
        painter.polygon([_to_canvas(p, centre, half, tilt) for p in outline(shape)], fill=colour)


def _to_canvas(point: Point, centre: Point, half: float, tilt: float) -> Point:
    x, y = point
    sine, cosine = math.sin(tilt), math.cos(tilt)
    return (
        (centre[0] + half * (x * cosine - y * sine)) * _OVERSAMPLING,
        (centre[1] + half * (x * sine + y * cosine)) * _OVERSAMPLING,
    )


def _any_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in rng.integers(0, 256, 3))
    return red, green, blue
