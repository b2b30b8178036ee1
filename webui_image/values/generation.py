"""One request for pictures, complete: every default filled in, every seed drawn, every limit checked.

The A1111 API, the streaming API and the batch renderer each build this value from what their users write; the engine
reads nothing else. Two equal values give the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


class ResizeMode(IntEnum):
    """How an input picture is brought to the size asked for (A1111's `resize_mode`)."""

    STRETCH = 0
    CROP = 1
    FILL = 2
    LATENT = 3


class MaskFill(IntEnum):
    """What stands under the mask before denoising starts (A1111's `inpainting_fill`)."""

    FILL = 0
    ORIGINAL = 1
    LATENT_NOISE = 2
    LATENT_NOTHING = 3


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA by its listed name (never a path), and how strongly it is mixed in."""

    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Mask:
    """Where an input picture is painted anew: an `L` picture, white is repainted."""

    image: Image.Image
    blur: int = 4  # radius in pixels
    fill: MaskFill = MaskFill.ORIGINAL
    only_masked: bool = False  # A1111's inpaint_full_res: the masked part alone is drawn at the full size
    padding: int = 0  # pixels around the masked part, with only_masked
    invert: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """The picture that image-to-image starts from (RGB; already decoded, its size checked)."""

    image: Image.Image
    denoising_strength: float = 0.75  # 0 keeps it, 1 forgets it
    resize_mode: ResizeMode = ResizeMode.STRETCH
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class HiresFix:
    """A second pass over the enlarged first picture. Zero and None mean: as in the first pass."""

    scale: float = 2.0
    width: int = 0  # of the result, in pixels; both zero: `scale` decides
    height: int = 0
    steps: int = 0
    upscaler: str = "Latent"
    denoising_strength: float = 0.7
    sampler: str | None = None
    scheduler: str | None = None
    prompt: str = ""
    negative_prompt: str = ""


@dataclass(frozen=True, slots=True)
class Variation:
    """Noise between two seeds (A1111's subseed): strength 0 is the seed's own, 1 is the other's."""

    seed: int
    strength: float


@dataclass(frozen=True, slots=True)
class Generation:
    """What is to be drawn. Picture `i` of `count` has seed `seed + i` (and variation seed + i where there is none)."""

    prompt: str
    negative_prompt: str = ""
    width: int = 512
    height: int = 512
    steps: int = 20
    cfg_scale: float = 7.0
    sampler: str = "Euler"  # A1111's name, as in `samplers.SAMPLERS`
    scheduler: str = "Automatic"  # A1111's label: Automatic, Karras, Exponential, ...
    seed: int = 0  # 0 to 2**32 - 1, already drawn
    count: int = 1
    model: str = ""  # a listed model's name; empty: the server's default
    vae: str = ""  # empty or "Automatic": the model's own
    clip_skip: int = 1  # A1111's CLIP_stop_at_last_layers
    eta: float | None = None
    variation: Variation | None = None
    seed_resize_from: tuple[int, int] | None = None  # width, height
    loras: tuple[Lora, ...] = ()  # beside those in the prompt
    source: Source | None = None
    hires: HiresFix | None = None
    guidance_rescale: float | None = None  # None: the model's recommended
    exact: bool = False  # alone, bit for bit as the pipeline by itself
    previews: bool = False
    tags: dict[str, str] = field(default_factory=dict, hash=False)  # further pairs for the infotext

    @property
    def pixel_steps(self) -> int:
        """The work asked for: width x height x steps x pictures, the second pass included."""
        first = self.width * self.height * self.steps * self.count
        if self.hires is None:
            return first
        width, height = final_size(self)
        return first + width * height * (self.hires.steps or self.steps) * self.count


def final_size(generation: Generation) -> tuple[int, int]:
    """Give width and height of the finished picture, in pixels, rounded down to multiples of 8."""
    hires = generation.hires
    if hires is None:
        return generation.width, generation.height
    if not (hires.width or hires.height):
        return int(generation.width * hires.scale) // 8 * 8, int(generation.height * hires.scale) // 8 * 8
    width = hires.width or hires.height * generation.width // generation.height
    height = hires.height or hires.width * generation.height // generation.width
    return width // 8 * 8, height // 8 * 8
