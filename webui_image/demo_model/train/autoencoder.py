"""First phase: the autoencoder, 64x64 pixels to 8x8 latents of four channels and back.

Its latents are held near mean 0 and variance 1, because Stable Diffusion pipelines know only one scaling factor, and
the decoder is trained on disturbed and stretched latents, because strong guidance delivers such.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import l1_loss, mse_loss

from webui_image.demo_model.architecture import make_autoencoder
from webui_image.demo_model.train.drawing import collage, draw, random_scene

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

__all__ = ["AutoencoderPlan", "encode", "train_autoencoder"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AutoencoderPlan:
    """One cycle of training, the rate falling to nothing at its end."""

    steps: int
    batch: int
    rate: float
    stretch: float  # how much latents are stretched before decoding
    disturbance: float  # standard deviation of the noise added to latents before decoding
    drawings: int = 6000
    collages: int = 3000


def train_autoencoder(plans: Sequence[AutoencoderPlan], *, seed: int, folder: Path) -> "AutoencoderTiny":
    """Train one cycle after the other; a cycle whose checkpoint is in `folder` is loaded instead."""
    torch.manual_seed(seed)
    vae = make_autoencoder().to(memory_format=torch.channels_last)
    for number, plan in enumerate(plans):
        checkpoint = folder / f"autoencoder-{number}.pt"
        if checkpoint.exists():
            vae.load_state_dict(torch.load(checkpoint, weights_only=True))
        else:
            _cycle(vae, plan, seed + number)
            torch.save(vae.state_dict(), checkpoint)
    return vae.eval().requires_grad_(False)


def _cycle(vae: "AutoencoderTiny", plan: AutoencoderPlan, seed: int) -> None:
    pictures = _pictures(plan, np.random.default_rng(seed))
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=plan.rate, betas=(0.9, 0.999), weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.rate, plan.steps, pct_start=0.05)
    for step in range(plan.steps):
        picture = to_model(pictures[torch.randint(len(pictures), (plan.batch,))])
        loss, error = _loss(vae, picture, plan)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == plan.steps - 1:
            log.info("autoencoder %d/%d: loss %.4f, mean difference %.4f", step, plan.steps, loss.item(), error)


def to_model(pictures: torch.Tensor) -> torch.Tensor:
    """Bytes (n, height, width, 3) as the pipeline's -1..1 floats (n, 3, height, width)."""
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def encode(vae: "AutoencoderTiny", pictures: torch.Tensor) -> torch.Tensor:
    """Latents (n, 4, height / 8, width / 8) in fp16 of bytes (n, height, width, 3)."""
    return torch.cat([vae.encoder(to_model(chunk)).half() for chunk in pictures.split(64)])


def _pictures(plan: AutoencoderPlan, rng: np.random.Generator) -> torch.Tensor:
    drawn = [draw(random_scene(rng), rng) for _ in range(plan.drawings)]
    drawn += [collage(rng) for _ in range(plan.collages)]
    return torch.from_numpy(np.stack(drawn))


def _loss(vae: "AutoencoderTiny", picture: torch.Tensor, plan: AutoencoderPlan) -> tuple[torch.Tensor, float]:
    latent = vae.encoder(picture)
    spread = latent.std(dim=(0, 2, 3)) - 1
    centre = latent.mean(dim=(0, 2, 3))
    stretch = 1 + plan.stretch * torch.rand(len(picture), 1, 1, 1) * (torch.rand(len(picture), 1, 1, 1) < 0.5)
    disturbed = latent * stretch + plan.disturbance * torch.randn_like(latent)
    decoded = vae.decoder(disturbed)
    difference = l1_loss(decoded, picture)
    loss = difference + mse_loss(decoded, picture) + 0.1 * (spread.square().mean() + centre.square().mean())
    return loss, difference.item()
