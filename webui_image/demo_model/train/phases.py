"""The phases of the training in their order, with the figures that the shipped weights were made with."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from webui_image.demo_model.architecture import assemble, make_tokenizer
from webui_image.demo_model.train.autoencoder import AutoencoderPlan, train_autoencoder
from webui_image.demo_model.train.denoiser import Denoiser, DenoiserPlan, train_denoiser
from webui_image.demo_model.train.pool import Pool, make_pools

__all__ = ["run"]

_AUTOENCODER: Final = AutoencoderPlan()
_DRAW: Final = DenoiserPlan(steps=3600, rate=1.2e-3, short=0.6, other_sizes=0.12)
_HOLD: Final = DenoiserPlan(steps=1000, rate=4e-4, guided=0.4, other_sizes=0.12, warm_up=0.1)
_POOL: Final = 30_000
_CAPTIONS: Final = 3


def run(out: Path, *, seed: int, work: Path, share: float) -> None:
    """Train in three phases, with checkpoints in `work`, and write the pipeline to `out`."""
    work.mkdir(parents=True, exist_ok=True)
    plan = replace(_AUTOENCODER, steps=_scaled(_AUTOENCODER.steps, share))
    vae = train_autoencoder(plan, seed=seed, checkpoint=work / "autoencoder.pt")
    tokenizer = make_tokenizer(out)
    pools = _pools(vae, tokenizer, share, seed, work / "pool.pt")
    torch.manual_seed(seed)
    model = Denoiser(len(tokenizer))
    for name, plan in {"draw": _DRAW, "hold": _HOLD}.items():
        scaled = replace(plan, steps=_scaled(plan.steps, share))
        average = train_denoiser(model, scaled, pools, seed=seed, checkpoint=work / f"{name}.pt")
    pipeline = assemble(tokenizer, average.text_encoder, average.unet.to(memory_format=torch.contiguous_format), vae)
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(out, safe_serialization=True)


def _scaled(count: int, share: float) -> int:
    return max(2, round(count * share))


def _pools(vae: object, tokenizer: object, share: float, seed: int, checkpoint: Path) -> list[Pool]:
    if checkpoint.exists():
        return [Pool(*tensors) for tensors in torch.load(checkpoint, weights_only=True)]
    pools = make_pools(vae, tokenizer, count=max(200, round(_POOL * min(share, 1))), captions=_CAPTIONS, seed=seed)
    torch.save([(pool.latents, pool.tokens, pool.empty) for pool in pools], checkpoint)
    return pools
