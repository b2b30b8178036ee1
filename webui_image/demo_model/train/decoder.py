"""Last phase: the decoder alone, on latents as inexact as the denoiser's, until edges are sharp.

The encoder stays as it is, so nothing the denoiser has learnt changes its meaning.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from webui_image.demo_model.train.autoencoder import encode, picture_error, random_pictures, to_model
from webui_image.demo_model.train.workers import Workers

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

__all__ = ["DecoderPlan", "train_decoder"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DecoderPlan:
    """How the decoder is finished."""

    steps: int
    rate: float = 1e-3
    batch: int = 16
    disturbance: float = 0.1  # standard deviation of the noise added to latents of deviation 1
    detail: float = 4.0
    drawings: int = 16_000
    collages: int = 400
    workers: int = 2


def train_decoder(vae: "AutoencoderTiny", plan: DecoderPlan, *, seed: int, checkpoint: Path) -> None:
    """Train the decoder of `vae` in place, or load what an earlier run left in `checkpoint`."""
    decoder = vae.decoder
    if checkpoint.exists():
        decoder.load_state_dict(torch.load(checkpoint, weights_only=True))
        return
    pictures = random_pictures(plan.drawings, plan.collages, np.random.default_rng(seed + 100), loose=False)
    latents = encode(vae, pictures)
    decoder.requires_grad_(True)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.rate, plan.steps, pct_start=0.05, cycle_momentum=False
    )

    def loss(chance: torch.Generator) -> torch.Tensor:
        rows = torch.randint(len(pictures), (plan.batch // plan.workers,), generator=chance)
        latent = latents[rows].float()
        latent += plan.disturbance * torch.randn(latent.shape, generator=chance)
        return picture_error(decoder(latent / vae.config.scaling_factor), to_model(pictures[rows]), plan.detail)

    smooth = 0.1
    with Workers(plan.workers, seed) as workers:
        for step in range(plan.steps):
            smooth = 0.98 * smooth + 0.02 * workers.backward(loss, decoder.parameters())
            torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 100 == 0 or step == plan.steps - 1:
                log.info("decoder %d/%d: loss %.4f", step, plan.steps, smooth)
    torch.save(decoder.state_dict(), checkpoint)
    decoder.requires_grad_(False)
