"""How well a model follows prompts it was never trained on, read from the pixels of plain diffusers pictures.

The pipeline is used as it is, without the Web UI's engine, so the figures are the model's own.
"""

import argparse
import itertools
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from webui_image.demo_model import WEIGHTS

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline
    from PIL import Image

__all__ = ["SAMPLERS", "Adherence", "Settings", "load", "measure", "pictures"]

SAMPLERS: Final = ("DDIM", "Euler", "Euler a", "DPM++ 2M")


@dataclass(frozen=True, slots=True)
class Settings:
    """Sampling settings under A1111's names; `guidance_rescale` as in diffusers."""

    sampler: str = "DPM++ 2M"
    steps: int = 12
    cfg_scale: float = 2.5
    guidance_rescale: float = 0.0
    width: int = 64
    height: int = 64


@dataclass(frozen=True, slots=True)
class Adherence:
    """Shares, 0..1, of pictures that show what the prompt says; `everything` counts those right in all three."""

    prompts: int
    background: float
    colour: float
    shape: float
    everything: float


def load(directory: Path = WEIGHTS) -> "StableDiffusionPipeline":
    """Load the model as fp32 on the CPU, silent."""
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(directory, use_safetensors=True, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def measure(
    pipeline: "StableDiffusionPipeline", settings: Settings, *, prompts: int = 200, seed: int = 2024, batch: int = 20
) -> Adherence:
    """Adherence over the first `prompts` held-out prompts of `seed`."""
    from webui_image.demo_model.train.captions import held_out_prompts
    from webui_image.demo_model.train.reader import read

    asked = held_out_prompts(prompts, seed)
    readings = [read(image) for image in pictures(pipeline, [text for text, _ in asked], settings, batch=batch)]
    rights = [
        (seen.background == background, seen.colour == colour, seen.shape == shape)
        for seen, (_, (background, colour, shape)) in zip(readings, asked, strict=True)
    ]
    background, colour, shape = (sum(column) / len(rights) for column in zip(*rights, strict=True))
    return Adherence(prompts, background, colour, shape, sum(map(all, rights)) / len(rights))


def pictures(
    pipeline: "StableDiffusionPipeline", prompts: list[str], settings: Settings, *, batch: int = 20
) -> "list[Image.Image]":
    """One picture per prompt; the seed is the prompt's place in the list."""
    import torch

    pipeline.scheduler = _scheduler(pipeline, settings.sampler)
    drawn: list[Image.Image] = []
    for start in range(0, len(prompts), batch):
        part = prompts[start : start + batch]
        drawn += pipeline(
            part,
            width=settings.width,
            height=settings.height,
            num_inference_steps=settings.steps,
            guidance_scale=settings.cfg_scale,
            guidance_rescale=settings.guidance_rescale,
            generator=[torch.Generator().manual_seed(start + i) for i in range(len(part))],
        ).images
    return drawn


def _scheduler(pipeline: "StableDiffusionPipeline", sampler: str) -> object:
    import diffusers

    kinds = {
        "DDIM": diffusers.DDIMScheduler,
        "Euler": diffusers.EulerDiscreteScheduler,
        "Euler a": diffusers.EulerAncestralDiscreteScheduler,
        "DPM++ 2M": diffusers.DPMSolverMultistepScheduler,
    }
    if sampler not in kinds:
        raise ValueError(f"sampler {sampler!r} is not measured here; choose one of {', '.join(kinds)}")
    return kinds[sampler].from_config(pipeline.scheduler.config)


def main() -> None:
    """Print the adherence per sampler and guidance, as the model card's table."""
    parser = argparse.ArgumentParser(description="Measure how well the small model follows prompts it never saw.")
    parser.add_argument("--model", type=Path, default=WEIGHTS, help="pipeline directory (default: the shipped model)")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    pipeline = load(options.model)
    rescale = float(json.loads((WEIGHTS / "recommended.json").read_text())["guidance_rescale"])
    say = sys.stdout.write
    say("| sampler | steps | CFG | rescale | background | colour | shape | all three |\n")
    say("|---|---|---|---|---|---|---|---|\n")
    for sampler, (steps, scale) in itertools.product(SAMPLERS, ((12, 3.0), (20, 7.0))):
        found = measure(pipeline, Settings(sampler, steps, scale, rescale), prompts=options.prompts)
        shares = (found.background, found.colour, found.shape, found.everything)
        say(f"| {sampler} | {steps} | {scale:g} | {rescale:g} | {' | '.join(f'{share:.1%}' for share in shares)} |\n")


if __name__ == "__main__":
    main()
