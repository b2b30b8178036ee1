"""How much a file may ask for: wide enough for real work, narrow enough that a slip of the keyboard is noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FILE_BYTES = 32 * 1024 * 1024
INCLUDE_BYTES = 16 * 1024 * 1024
PICTURE_BYTES = 32 * 1024 * 1024  # of a picture to start from
LONGEST_PROMPT = 10_000  # characters
MOST_PICTURES = 100_000  # in one file, everything multiplied out
SMALLEST_SIDE, LARGEST_SIDE, SIDE_STEP = 64, 4096, 8
MOST_PIXELS = 4096 * 2048
MOST_STEPS = 500
LARGEST_CFG = 100.0
LARGEST_SEED = 2**32 - 1


Resolve = Callable[[str, str], tuple[str, str]]
"""Gives sampler and schedule type under the names that the engine lists. Raises Invalid."""


@dataclass(frozen=True, slots=True)
class Names:
    """What can be asked for by name, where it is known before anything is loaded; empty: any name is taken."""

    resolve: Resolve = lambda sampler, scheduler: (sampler, scheduler)
    upscalers: tuple[str, ...] = ()
    model: Callable[[str], str] = str  # gives a model's listed name. Raises Invalid
