"""Which seeds a picture is drawn from, by A1111's rules.

Picture `i` has the seed plus `i`, or, where there is a variation of some strength, the seed as it is and the
variation's plus `i`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webui_image.clock import LARGEST_SEED

if TYPE_CHECKING:
    from webui_image.values.generation import Generation

__all__ = ["Seeds", "of_picture"]


@dataclass(frozen=True, slots=True)
class Seeds:
    """What one picture's noise is drawn from."""

    seed: int
    variation_seed: int | None = None
    variation_strength: float = 0.0


def of_picture(generation: Generation, index: int) -> Seeds:
    """Give picture `index`'s seeds: the seed counts up, but where there is a variation, that seed counts up instead."""
    variation = generation.variation
    if variation is None or variation.strength == 0:
        other = None if variation is None else (variation.seed + index) & LARGEST_SEED
        return Seeds((generation.seed + index) & LARGEST_SEED, other)
    return Seeds(generation.seed, (variation.seed + index) & LARGEST_SEED, variation.strength)
