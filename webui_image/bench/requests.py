"""The requests that engines are measured with: like those of strangers, no two with the same settings but by chance."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from webui_image.values.generation import Generation

__all__ = ["arrivals", "mixed"]

SIDE = 64
_STEPS = (8, 10, 12, 16, 20)
_SCALES = (5.0, 7.0, 7.5)
_SAMPLERS = ("Euler", "Euler a", "DPM++ 2M", "DDIM")
_COLOURS = ("red", "green", "blue", "yellow", "black", "orange", "purple")
_SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")


def mixed(count: int, salt: str = "mixed") -> list[Generation]:
    """Give so many requests of different steps, CFG scale, sampler, seed and prompt; the same ones every time."""
    return [_request(number, salt) for number in range(count)]


def arrivals(count: int, rate: float, salt: str = "arrivals") -> list[float]:
    """Give when requests arrive, in seconds: a Poisson stream of `rate` a second, the same every time."""
    import math

    times, now = [], 0.0
    for number in range(count):
        now += -math.log(1.0 - _fraction(f"{salt} {number}")) / rate
        times.append(now)
    return times


def _request(number: int, salt: str) -> Generation:
    def pick(what: str, choices: tuple[object, ...]) -> object:
        return choices[int(_fraction(f"{salt} {what} {number}") * len(choices))]

    colour, shape = pick("colour", _COLOURS), pick("shape", _SHAPES)
    plain = Generation(f"a {colour} {shape} on a white background", width=SIDE, height=SIDE, seed=1000 + number)
    return replace(
        plain,
        steps=int(str(pick("steps", _STEPS))),
        cfg_scale=float(str(pick("scale", _SCALES))),
        sampler=str(pick("sampler", _SAMPLERS)),
        guidance_rescale=0.0,
    )


def _fraction(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
