"""What is to be computed for a request, decided before the engine's thread sees it.

Planning is pure and done by whoever submits, so that a wrong sampler or size is refused at once, and no text is read
while others wait for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webui_image.engine.samplers import Choice, resolve
from webui_image.prompts.grammar import PromptPlan, parse
from webui_image.values.errors import Invalid
from webui_image.values.generation import Lora, final_size

if TYPE_CHECKING:
    from webui_image.values.generation import Generation
    from webui_image.values.ports import ModelInfo, Recommended

__all__ = ["Group", "Pass", "Plan", "drawn_size", "plan"]

_MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class Group:
    """What must agree in one call. `chunks`, of 77 text tokens, is a guess until the prompt is encoded."""

    model: str
    vae: str
    loras: tuple[Lora, ...]
    height: int  # of the latents
    width: int
    chunks: int = 1

    @property
    def pixels(self) -> float:
        """Latent pixels of one row: what its cost grows with."""
        return float(self.height * self.width)


@dataclass(frozen=True, slots=True)
class Pass:
    """One denoising: prompts, sampler, steps, size in pixels as drawn; `strength` where it starts from a picture."""

    prompt: PromptPlan
    negative: PromptPlan
    choice: Choice
    steps: int
    width: int
    height: int
    strength: float | None = None
    loras: tuple[Lora, ...] = ()

    @property
    def executed(self) -> int:
        """Steps that are taken: those that the strength leaves, as diffusers' image-to-image pipeline counts them."""
        return self.steps if self.strength is None else min(int(self.steps * self.strength), self.steps)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about a request that its generation and the model's description decide."""

    model: ModelInfo
    passes: tuple[Pass, ...]
    guidance_rescale: float
    final_width: int
    final_height: int

    @property
    def steps(self) -> int:
        """Steps of one picture, all passes together."""
        return sum(each.executed for each in self.passes)

    @property
    def drawn_at(self) -> tuple[int, int] | None:
        """Give the size that pictures are drawn at and enlarged from, where the model cannot draw as large as asked."""
        size = (self.passes[-1].width, self.passes[-1].height)
        return None if size == (self.final_width, self.final_height) else size

    def group(self, index: int, vae: str, chunks: int = 1) -> Group:
        """Give the group that pass `index` is computed in."""
        at = self.passes[index]
        return Group(self.model.name, vae, at.loras, at.height // _MULTIPLE, at.width // _MULTIPLE, chunks)


def plan(generation: Generation, model: ModelInfo) -> Plan:
    """Plan a request. Raises Invalid naming the field for samplers, prompts, sizes and steps that cannot be."""
    for name in ("width", "height"):
        value = getattr(generation, name)
        if value < _MULTIPLE or value % _MULTIPLE:
            raise Invalid(name, f"{value} is not a positive multiple of {_MULTIPLE}")
    for name, value in (("steps", generation.steps), ("batch_size", generation.count)):
        if value < 1:
            raise Invalid(name, f"{value} is less than 1")
    width, height = drawn_size(generation.width, generation.height, model.recommended)
    strength = None if generation.source is None else generation.source.denoising_strength
    first = _pass(generation, width, height, strength)
    passes = (first,) if generation.hires is None else (first, _second_pass(generation, model.recommended, first))
    rescale = generation.guidance_rescale
    return Plan(
        model,
        passes,
        model.recommended.guidance_rescale if rescale is None else rescale,
        *final_size(generation),
    )


def drawn_size(width: int, height: int, recommended: Recommended) -> tuple[int, int]:
    """Give the size to draw at: the one asked for, or within the native side where the model cannot draw so large."""
    longest = max(width, height)
    if not recommended.largest_side or longest <= recommended.largest_side:
        return width, height
    factor = recommended.native_side / longest
    return _rounded(width * factor), _rounded(height * factor)


def merged(loras: Sequence[Lora]) -> tuple[Lora, ...]:
    """Give each LoRA once, its weights added, in an order of names, so that equal sets are equal."""
    weights: dict[str, float] = {}
    for lora in loras:
        weights[lora.name] = weights.get(lora.name, 0.0) + lora.weight
    return tuple(Lora(name, weight) for name, weight in sorted(weights.items()) if weight)


def _rounded(side: float) -> int:
    return max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)


def _pass(generation: Generation, width: int, height: int, strength: float | None) -> Pass:
    choice = resolve(generation.sampler, generation.scheduler, generation.eta)
    _check_steps(choice, generation.steps, "steps")
    executed = generation.steps if strength is None else max(1, int(generation.steps * strength))
    prompt = parse(generation.prompt, executed)
    return Pass(
        prompt,
        parse(generation.negative_prompt, executed, field="negative_prompt"),
        choice,
        generation.steps,
        width,
        height,
        strength,
        merged((*generation.loras, *prompt.loras)),
    )


def _second_pass(generation: Generation, recommended: Recommended, first: Pass) -> Pass:
    hires = generation.hires
    if hires is None:
        raise AssertionError
    steps = hires.steps or generation.steps
    executed, done = max(1, int(steps * hires.denoising_strength)), first.executed
    choice = resolve(hires.sampler or generation.sampler, hires.scheduler or generation.scheduler, generation.eta)
    _check_steps(choice, steps, "hr_second_pass_steps")
    width, height = drawn_size(*final_size(generation), recommended)
    if width < _MULTIPLE or height < _MULTIPLE:
        raise Invalid("hr_scale", f"the second pass would be {width} x {height} pixels")
    _check_upscaler(hires.upscaler)
    prompt = parse(hires.prompt or generation.prompt, executed, done=done, field="hr_prompt")
    return Pass(
        prompt,
        parse(hires.negative_prompt or generation.negative_prompt, executed, done=done, field="hr_negative_prompt"),
        choice,
        steps,
        width,
        height,
        hires.denoising_strength,
        merged((*generation.loras, *prompt.loras)),
    )


def _check_steps(choice: Choice, steps: int, field: str) -> None:
    if choice.most_steps and steps > choice.most_steps:
        raise Invalid(field, f"{choice.sampler} draws in {choice.most_steps} steps at most, not {steps}")


def _check_upscaler(name: str) -> None:
    from webui_image.pictures.upscale import LATENT_MODES, UPSCALERS

    if name not in LATENT_MODES and name not in UPSCALERS:
        raise Invalid("hr_upscaler", f"there is no {name[:60]!r}; take one of {', '.join([*LATENT_MODES, *UPSCALERS])}")
