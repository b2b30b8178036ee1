"""What a prompt asks for at each step: the values that the grammar gives and the engine encodes."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from webui_image.values.generation import Lora


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text with one weight; or, with `is_break`, the place where a new chunk of 75 tokens begins."""

    text: str
    weight: float = 1.0
    is_break: bool = False


BREAK = Piece("BREAK", is_break=True)


@dataclass(frozen=True, slots=True)
class Subprompt:
    """One of the prompts that `AND` joins. `weight` multiplies its pull in the guidance; it may be negative."""

    weight: float
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """What holds from the 0-based sampler step `first_step` until the next variant's."""

    first_step: int
    subprompts: tuple[Subprompt, ...]


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """A parsed prompt. There is at least one variant; the first one's `first_step` is 0, and they ascend."""

    loras: tuple[Lora, ...]
    variants: tuple[Variant, ...]

    def at(self, step: int) -> tuple[Subprompt, ...]:
        """Give the subprompts of a 0-based step; beyond the last step, those of the last."""
        position = bisect_right(self.variants, step, key=lambda variant: variant.first_step)
        return self.variants[max(position - 1, 0)].subprompts
