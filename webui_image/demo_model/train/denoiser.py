"""Second and third phase: UNet and text encoder learn to draw what a caption says, then to survive strong guidance.

Guidance at 7, which most clients send, pushes the early steps' estimates far outside anything a network saw in
training, and the error stays. So the last phase lets the network take a few guided sampler steps itself, and trains it
to name the true picture from where it got to (input perturbation: Ning et al., arXiv 2301.11706; here with the
sampler's own errors).
"""

import copy
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from webui_image.demo_model.architecture import make_scheduler, make_text_encoder, make_unet
from webui_image.demo_model.train.pool import Pool
from webui_image.demo_model.train.workers import Workers

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

__all__ = ["Denoiser", "DenoiserPlan", "train_denoiser"]

log = logging.getLogger(__name__)
_SHORT: Final = 48  # longer than any caption
_POSITIONS: Final = 77
_ANCESTRAL: Final = 0.3  # share of guided steps that get new noise, as Euler a does


@dataclass(frozen=True, slots=True)
class DenoiserPlan:
    """One phase; `guided` is the share of a batch that starts from the network's own guided steps."""

    steps: int
    rate: float
    batch: int = 48
    noises: int = 2  # noise levels per caption, which share one pass of the text encoder
    dropout: float = 0.18
    short: float = 0.0  # share of the steps, at the start, that see captions without most of their padding
    guided: float = 0.0
    middle: bool = False  # more of the middle noise levels, where shapes are decided
    other_sizes: float = 0.0
    averaging: float = 0.9985
    warm_up: float = 0.05
    workers: int = 2  # threads that compute a part of each batch


class Denoiser(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by the checker
    """UNet and text encoder with the noise schedule: what a step of training or sampling needs."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.text_encoder: CLIPTextModel = make_text_encoder(vocabulary)
        self.unet: UNet2DConditionModel = make_unet().to(memory_format=torch.channels_last)
        kept = make_scheduler().alphas_cumprod
        self.signal = kept.sqrt()
        self.noise = (1 - kept).sqrt()

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.text_encoder(tokens).last_hidden_state

    def forward(self, noisy: torch.Tensor, times: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Velocity (signal * noise - noise * picture) of noisy latents (n, 4, h, w) at integer times (n,)."""
        return self.unet(noisy.contiguous(memory_format=torch.channels_last), times, words).sample

    def levels(self, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Factors of picture and noise at these times, each (n, 1, 1, 1)."""
        return self.signal[times].view(-1, 1, 1, 1), self.noise[times].view(-1, 1, 1, 1)

    def guided(
        self, noisy: torch.Tensor, times: torch.Tensor, both: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimate the picture with guidance, as a sampler does at each step, and the noise which that implies.

        `both` holds the word embeddings of nothing, then of the captions (2n, positions, width).
        """
        with torch.no_grad():
            without, with_words = self(noisy.repeat(2, 1, 1, 1), times.repeat(2), both).chunk(2)
        velocity = without + scale.view(-1, 1, 1, 1) * (with_words - without)
        signal, noise = self.levels(times)
        return signal * noisy - noise * velocity, signal * velocity + noise * noisy


def train_denoiser(model: Denoiser, plan: DenoiserPlan, pools: list[Pool], *, seed: int, checkpoint: Path) -> Denoiser:
    """Train `model` in place, and return the average of its weights; or load that from `checkpoint` if it is there."""
    average: Denoiser = copy.deepcopy(model).eval().requires_grad_(False)
    if checkpoint.exists():
        average.load_state_dict(torch.load(checkpoint, weights_only=True))
        model.load_state_dict(average.state_dict())
        return average
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.rate, plan.steps, pct_start=plan.warm_up, div_factor=10, cycle_momentum=False
    )
    smooth = 1.0
    with Workers(plan.workers, seed) as workers:
        for step in range(plan.steps):
            pool = _choose(pools, plan.other_sizes if step > plan.steps // 2 else 0.0, workers.chance)
            lesson = _Lesson(model, average, pool, plan, _SHORT if step < plan.short * plan.steps else _POSITIONS)
            smooth = 0.98 * smooth + 0.02 * workers.backward(lesson.loss, model.parameters())
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            _follow(average, model, min(plan.averaging, (step + 1) / (step + 10)))
            if step % 50 == 0 or step == plan.steps - 1:
                log.info("%s %d/%d: loss %.4f", checkpoint.stem, step, plan.steps, smooth)
            if step % 500 == 499:
                torch.save(average.state_dict(), checkpoint.with_suffix(".partial"))
    torch.save(average.state_dict(), checkpoint)
    model.load_state_dict(average.state_dict())
    return average


@dataclass(frozen=True, slots=True)
class _Lesson:
    """One step's task: pictures of a pool at random noise levels, some of them reached by the network's own steps."""

    model: Denoiser
    average: Denoiser
    pool: Pool
    plan: DenoiserPlan
    length: int  # how many positions of a caption are read

    def loss(self, chance: torch.Generator) -> torch.Tensor:
        """Weighted error of the velocity over one worker's part of a batch."""
        plan, levels = self.plan, self.model.levels
        share = plan.batch // plan.workers // plan.noises
        captions = self.pool.draw(share if self.pool.latents[0, 0].numel() <= 64 else share // 2, chance)
        pictures = captions.latents.repeat(plan.noises, 1, 1, 1)
        times = _times(len(pictures), chance, middle=plan.middle)
        signal, noise = levels(times)
        noisy = signal * pictures + noise * torch.randn(pictures.shape, generator=chance)
        if plan.guided:
            rows = round(plan.guided * len(pictures))
            tokens = captions.tokens.repeat(plan.noises, 1)[:rows]
            noisy[:rows], times[:rows] = self._led_astray(noisy[:rows], times[:rows], tokens, chance)
            signal, noise = levels(times)
        tokens = self.pool.dropped(captions.tokens, plan.dropout, chance)
        words = self.model.encode(tokens[:, : self.length]).repeat(plan.noises, 1, 1)
        # The velocity whose implied picture is the true one, whichever way the noisy state came about. Near the end of
        # sampling a wandered state would need a huge velocity: hence the bound, and a weight by the picture's error.
        target = (signal * noisy - pictures) / noise.clamp(min=0.05)
        weight = (noise * (2 if plan.guided else 100)).clamp(max=1).square()
        error: torch.Tensor = (self.model(noisy, times, words) - target).square() * weight
        return error.mean()

    def _led_astray(
        self, noisy: torch.Tensor, times: torch.Tensor, tokens: torch.Tensor, chance: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take one or two guided steps; the noisy latents after them, and the times they are at then."""
        count = len(noisy)
        scale = 1 + 8 * torch.rand(count, generator=chance)
        with torch.no_grad():
            nothing = self.average.encode(self.pool.empty[:1].long()).expand(count, -1, -1)
            both = torch.cat([nothing, self.average.encode(tokens)])
        for _ in range(int(torch.randint(1, 3, (), generator=chance))):
            steps = torch.randint(30, 130, (count,), generator=chance)
            later = torch.minimum((times - steps).clamp(min=20), times)
            picture, implied = self.average.guided(noisy, times, both, scale)
            renewed = torch.rand(count, 1, 1, 1, generator=chance) < _ANCESTRAL
            signal, noise = self.average.levels(later)
            fresh = torch.randn(noisy.shape, generator=chance)
            noisy, times = signal * picture + noise * torch.where(renewed, fresh, implied), later
        return noisy, times


def _choose(pools: list[Pool], others: float, chance: torch.Generator) -> Pool:
    if torch.rand((), generator=chance) >= others:
        return pools[0]
    return pools[1 + int(torch.randint(len(pools) - 1, (), generator=chance))]


def _times(count: int, chance: torch.Generator, *, middle: bool) -> torch.Tensor:
    """Half uniform; half where a picture's plan is decided (towards pure noise) or, in the middle, its shape."""
    even = torch.rand(count, generator=chance)
    other = 0.2 + 0.65 * even if middle else even.sqrt()
    lean = torch.rand(count, generator=chance) < 0.5
    return (1000 * torch.where(lean, other, even)).long().clamp(0, 999)


def _follow(average: Denoiser, model: Denoiser, share: float) -> None:
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - share)
