"""One step of many pictures in one call of the UNet.

Each picture brings its own scheduler, generator, guidance and place in its schedule; what they share is the call.
Around it stands what the pipelines do for one picture, operation by operation, so that a picture alone comes out bit
for bit as theirs, and in company as near as a matrix product of another size allows. Overhead counts: a step of the
small model takes milliseconds.

Latents are kept in single precision and handed to the UNet in its own, which spares half precision the rounding of
every step; `exact` pictures keep the pipeline's precision throughout.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from webui_image.engine.attention import Prompts

if TYPE_CHECKING:
    from webui_image.engine.conditioning import Conditioning, Row, StepRows
    from webui_image.engine.model import LoadedModel
    from webui_image.engine.samplers import Choice

__all__ = ["Inpainting", "Sampling", "Stepper", "make_scheduler", "resume", "start"]


@dataclass(slots=True, eq=False)
class Inpainting:
    """What keeps the unmasked part: blended in after each step, or read by a UNet made for it. All (1, C, h, w)."""

    original: torch.Tensor  # latents of the picture
    noise: torch.Tensor
    keep: torch.Tensor  # (1, 1, h, w): 1 keeps the picture, 0 is painted


@dataclass(slots=True, eq=False)
class Sampling:
    """One picture in one pass: its latents (1, C, h, w) and what takes them to the next step."""

    latents: torch.Tensor
    scheduler: Any
    generator: torch.Generator
    conditioning: Conditioning
    cfg_scale: float
    timesteps: torch.Tensor  # those that are left at the start
    times: list[float]  # the same
    steps: int  # sampler steps in this pass
    size: tuple[int, int]  # width and height in pixels, for SDXL
    guidance_rescale: float = 0.0
    eta: float | None = None
    exact: bool = False
    inpainting: Inpainting | None = None
    extra_channels: torch.Tensor | None = None  # (1, C + 1, h, w) mask and masked picture, of an inpainting UNet
    index: int = 0  # calls made
    last_input: torch.Tensor | None = None
    last_output: torch.Tensor | None = None

    @property
    def done(self) -> bool:
        """Whether no step is left."""
        return self.index >= len(self.times)

    @property
    def step(self) -> int:
        """The sampler step that the next call belongs to; some samplers make two calls a step."""
        return self.index * self.steps // len(self.times) if self.times else 0

    def rows(self) -> tuple[Row | None, tuple[tuple[float, Row], ...]]:
        """Give the rows of the next call: the negative one, where guidance needs it, and the weighted others."""
        rows = self.conditioning.at(self.step)
        return (rows.uncond if self._guided_by(rows) else None), rows.conds

    @property
    def most_rows(self) -> int:
        """Rows that a call has because of it, at most."""
        return max(len(rows.conds) + self._guided_by(rows) for rows in self.conditioning.rows)

    def _guided_by(self, rows: StepRows) -> bool:
        return self.cfg_scale > 1 or len(rows.conds) != 1 or rows.conds[0][0] != 1.0


@lru_cache(maxsize=64)
def _prototype(choice: Choice, config: tuple[tuple[str, Any], ...]) -> Any:
    import diffusers

    return getattr(diffusers, choice.scheduler_class).from_config(dict(config), **dict(choice.options))


def make_scheduler(choice: Choice, steps: int, config: dict[str, Any]) -> Any:
    """Make a scheduler of one's own, set to so many steps; its timesteps stay on the CPU, where it looks them up."""
    frozen = tuple(sorted((key, tuple(value) if isinstance(value, list) else value) for key, value in config.items()))
    # Making one takes up to 200 ms (DPM2), copying one does not.
    scheduler = copy.deepcopy(_prototype(choice, frozen))
    scheduler.set_timesteps(steps)
    return scheduler


def start(scheduler: Any, noise: torch.Tensor) -> torch.Tensor:
    """Give the latents that a picture from nothing starts with."""
    latents: torch.Tensor = noise * scheduler.init_noise_sigma
    return latents


def resume(
    scheduler: Any, original: torch.Tensor, noise: torch.Tensor, steps: int, executed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Move the scheduler to the last `executed` of its steps; give the latents to start with and the timesteps left.

    As diffusers' image-to-image pipeline does it. With nothing left, the latents come back as they are.
    """
    first = (steps - executed) * scheduler.order
    timesteps = scheduler.timesteps[first:]
    if not len(timesteps):
        return original, timesteps
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return scheduler.add_noise(original, noise, timesteps[:1]), timesteps


class Stepper:
    """Makes the calls for one model. For the engine's thread only."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._prompts = Prompts.of(model.unet)

    def call(self, samplings: Sequence[Sampling]) -> list[BaseException | None]:
        """Take every picture one call further, in place. Give what failed for each; raise what failed for all.

        They must be of one latent shape and one number of text tokens; one that is `exact` must be alone.
        """
        with torch.inference_mode():
            inputs = [self._input(each) for each in samplings]
            rows = [each.rows() for each in samplings]
            output = self._unet(samplings, inputs, rows)
            guided = self._guided(samplings, rows, output)
            return [self._advance(*each) for each in zip(samplings, inputs, guided, strict=True)]

    def _input(self, sampling: Sampling) -> torch.Tensor:
        scaled: torch.Tensor = sampling.scheduler.scale_model_input(
            sampling.latents, sampling.timesteps[sampling.index]
        )
        return scaled

    def _unet(self, samplings: Sequence[Sampling], inputs: list[torch.Tensor], rows: list[Any]) -> torch.Tensor:
        model = self._model
        latents, times, embeds, sizes = [], [], [], []
        for sampling, scaled, (uncond, conds) in zip(samplings, inputs, rows, strict=True):
            extra = sampling.extra_channels
            own = scaled if extra is None else torch.cat([scaled, extra], dim=1)
            count = len(conds) + (uncond is not None)
            latents += [own] * count
            times += [sampling.times[sampling.index]] * count
            sizes += [sampling.size] * count
            embeds += [row for row in (uncond, *(row for _, row in conds)) if row is not None]
        only = samplings[0]
        prompts = None if only.exact or self._prompts is None or not self._prompts.installed else self._prompts
        text, pooled = self._stacked(embeds, text_too=prompts is None)
        # A single picture gets the very tensor that the pipeline hands over.
        when = only.timesteps[only.index] if len(samplings) == 1 else torch.tensor(times, dtype=torch.float32)
        sample = torch.cat(latents)
        with nullcontext() if prompts is None else prompts.used(embeds):
            output: torch.Tensor = model.unet(
                sample.to(model.dtype),
                when.to(model.device),
                encoder_hidden_states=text,
                added_cond_kwargs=model.added_conditions(pooled, sizes),
                return_dict=False,
            )[0]
        return output if only.exact else output.to(sample.dtype)

    def _stacked(self, rows: list[Row], *, text_too: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Put the rows together; without their text, where the layers have it already."""
        pooled = [row.pooled for row in rows if row.pooled is not None]
        text = torch.cat([row.embeds for row in rows]) if text_too else rows[0].embeds
        return text, torch.cat(pooled) if pooled else None

    def _guided(self, samplings: Sequence[Sampling], rows: list[Any], output: torch.Tensor) -> list[torch.Tensor]:
        """Mix each picture's rows into one prediction (1, C, h, w)."""
        guided, at = [], 0
        for sampling, (uncond, conds) in zip(samplings, rows, strict=True):
            if uncond is None:
                guided.append(output[at : at + 1])
                at += 1
                continue
            base, at = output[at : at + 1], at + 1
            mixed = base
            for weight, _ in conds:
                mixed = mixed + sampling.cfg_scale * weight * (output[at : at + 1] - base)
                at += 1
            if sampling.guidance_rescale > 0:
                mixed = _rescaled(mixed, output[at - 1 : at], sampling.guidance_rescale)
            guided.append(mixed)
        return guided

    def _advance(self, sampling: Sampling, scaled: torch.Tensor, output: torch.Tensor) -> BaseException | None:
        scheduler, time = sampling.scheduler, sampling.timesteps[sampling.index]
        try:
            sampling.latents = scheduler.step(output, time, sampling.latents, return_dict=False, **_extra(sampling))[0]
            sampling.index += 1
            sampling.last_input, sampling.last_output = scaled, output
            if sampling.inpainting is not None:
                sampling.latents = _blended(sampling, sampling.inpainting)
        except Exception as error:  # noqa: BLE001 - whatever one picture's scheduler does, the others go on
            return error
        return None


def _extra(sampling: Sampling) -> dict[str, Any]:
    takes = _step_parameters(sampling.scheduler.__class__)
    extra: dict[str, Any] = {}
    if "generator" in takes:
        extra["generator"] = sampling.generator
    if "eta" in takes and sampling.eta is not None:
        extra["eta"] = sampling.eta
    return extra


@lru_cache(maxsize=64)
def _step_parameters(scheduler_class: Any) -> frozenset[str]:
    import inspect

    return frozenset(inspect.signature(scheduler_class.step).parameters)


def _rescaled(guided: torch.Tensor, text: torch.Tensor, amount: float) -> torch.Tensor:
    """Bring the spread of a guided prediction near to that of the text's own, as diffusers does (arXiv 2305.08891)."""
    axes = list(range(1, text.ndim))
    matched = guided * (text.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return amount * matched + (1 - amount) * guided


def _blended(sampling: Sampling, inpainting: Inpainting) -> torch.Tensor:
    """Put back what is not painted, with the noise of the place that the picture has reached."""
    original = inpainting.original
    if not sampling.done:
        left = sampling.timesteps[sampling.index : sampling.index + 1]
        original = sampling.scheduler.add_noise(original, inpainting.noise, left)
    return inpainting.keep * original + (1 - inpainting.keep) * sampling.latents
