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
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from torch.nn.functional import avg_pool2d

from webui_image.demo_model.architecture import make_autoencoder
from webui_image.demo_model.train.drawing import collage, draw, random_scene

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

__all__ = ["AutoencoderPlan", "encode", "picture_error", "random_pictures", "to_model", "train_autoencoder"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AutoencoderPlan:
    """One cycle of training; the rate falls to nothing at its end."""

    steps: int
    rate: float
    disturbance: float  # standard deviation of the noise added to latents before decoding
    detail: float  # extra weight of what stands out from its surroundings; flat ground would drown small shapes
    collages: int
    batch: int = 12
    centring: float = 0.01  # weight of holding latents near mean 0 and deviation 1; more of it disturbs small batches
    drawings: int = 20_000


def train_autoencoder(plans: Sequence[AutoencoderPlan], *, seed: int, folder: Path) -> "AutoencoderTiny":
    """Train one cycle after the other; a cycle whose checkpoint is in `folder` is loaded instead."""
    torch.manual_seed(seed)
    vae = make_autoencoder().to(memory_format=torch.channels_last)
    _start(vae)
    for number, plan in enumerate(plans):
        checkpoint = folder / f"autoencoder-{number}.pt"
        if checkpoint.exists():
            vae.load_state_dict(torch.load(checkpoint, weights_only=True))
        else:
            _cycle(vae, plan, seed + number)
            torch.save(vae.state_dict(), checkpoint)
    return _scaled(vae.eval().requires_grad_(False), random_pictures(200, 0, np.random.default_rng(seed)))


def _cycle(vae: "AutoencoderTiny", plan: AutoencoderPlan, seed: int) -> None:
    torch.manual_seed(seed)
    pictures = random_pictures(plan.drawings, plan.collages, np.random.default_rng(seed))
    optimizer = torch.optim.AdamW(vae.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.rate, plan.steps, pct_start=0.05, cycle_momentum=False
    )
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


def _scaled(vae: "AutoencoderTiny", pictures: torch.Tensor) -> "AutoencoderTiny":
    """Note the factor that brings latents of drawings to deviation 1: pipelines apply it around the autoencoder."""
    vae.register_to_config(scaling_factor=round(1 / encode(vae, pictures).float().std().item(), 4))
    return vae


def _start(vae: "AutoencoderTiny") -> None:
    """Begin as a plain chain of convolutions: without norms, residual blocks that start at random hardly learn."""
    convolutions = [m for m in vae.modules() if isinstance(m, torch.nn.Conv2d)]
    for convolution in convolutions:
        torch.nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        if convolution.bias is not None:
            torch.nn.init.zeros_(convolution.bias)
    for block in (m for m in vae.modules() if isinstance(m, AutoencoderTinyBlock)):
        torch.nn.init.zeros_(block.conv[-1].weight)
    for part in (vae.encoder, vae.decoder):
        torch.nn.init.xavier_normal_([m for m in part.modules() if isinstance(m, torch.nn.Conv2d)][-1].weight)
    torch.nn.init.constant_(convolutions[-1].bias, 0.5)


def to_model(pictures: torch.Tensor) -> torch.Tensor:
    """Bytes (n, height, width, 3) as the pipeline's -1..1 floats (n, 3, height, width)."""
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def encode(vae: "AutoencoderTiny", pictures: torch.Tensor) -> torch.Tensor:
    """Latents (n, 4, height / 8, width / 8), as the UNet sees them, in fp16 of bytes (n, height, width, 3)."""
    factor = vae.config.scaling_factor
    with torch.no_grad():
        return torch.cat([(vae.encoder(to_model(chunk)) * factor).half() for chunk in pictures.split(64)])


def random_pictures(drawings: int, collages: int, rng: np.random.Generator, *, loose: bool = True) -> torch.Tensor:
    """Bytes (n, 64, 64, 3) of drawings and collages."""
    drawn = [draw(random_scene(rng), rng if loose else None) for _ in range(drawings)]
    drawn += [collage(rng) for _ in range(collages)]
    return torch.from_numpy(np.stack(drawn))


def picture_error(decoded: torch.Tensor, picture: torch.Tensor, detail: float) -> torch.Tensor:
    """Mean of absolute and squared difference; `detail` adds weight to what stands out from its surroundings."""
    error = (decoded - picture).abs()
    surroundings = avg_pool2d(picture, 17, 1, 8, count_include_pad=False)
    weight = 1 + detail * (picture - surroundings).abs().mean(1, keepdim=True)
    return ((error + error.square()) * weight).mean()


def _loss(vae: "AutoencoderTiny", picture: torch.Tensor, plan: AutoencoderPlan) -> tuple[torch.Tensor, float]:
    latent = vae.encoder(picture)
    spread = latent.std(dim=(0, 2, 3)) - 1
    centre = latent.mean(dim=(0, 2, 3))
    decoded = vae.decoder(latent + plan.disturbance * torch.randn_like(latent))
    loss = picture_error(decoded, picture, plan.detail)
    loss += plan.centring * (spread.square().mean() + centre.square().mean())
    return loss, (decoded - picture).abs().mean().item()
