"""The phases of the training in their order, and how long each is.

The shipped weights went through these phases in several runs, with changes on the way that the model card tells.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import torch

from webui_image.demo_model.architecture import assemble, make_tokenizer
from webui_image.demo_model.train.autoencoder import AutoencoderPlan, train_autoencoder
from webui_image.demo_model.train.decoder import DecoderPlan, train_decoder
from webui_image.demo_model.train.denoiser import Denoiser, DenoiserPlan, train_denoiser
from webui_image.demo_model.train.pool import Pool, make_pools

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny
    from transformers import CLIPTokenizer

__all__ = ["run"]

PicturePlan = TypeVar("PicturePlan", AutoencoderPlan, DecoderPlan)

_AUTOENCODER: Final = (
    AutoencoderPlan(steps=2400, rate=1.5e-3, disturbance=0.05, detail=2.0, collages=2000),
    AutoencoderPlan(steps=1900, rate=1.0e-3, disturbance=0.08, detail=3.0, collages=400),
)
_DRAW: Final = DenoiserPlan(steps=2500, rate=1.2e-3, short=0.6, other_sizes=0.12)
_SHAPE: Final = DenoiserPlan(
    steps=3500, rate=1.0e-3, noises=1, short=1.0, middle=True, dropout=0.12, averaging=0.998, other_sizes=0.05
)
_HOLD: Final = DenoiserPlan(
    steps=450,
    rate=5e-4,
    noises=1,
    middle=True,
    dropout=0.12,
    guided=0.4,
    averaging=0.995,
    other_sizes=0.06,
    warm_up=0.1,
)
_DECODER: Final = DecoderPlan(steps=1000, drawings=6000)
_POOL: Final = 12_000
_CAPTIONS: Final = 3


def run(out: Path, *, seed: int, work: Path, share: float) -> None:
    """Train phase after phase, with checkpoints in `work`, and write the pipeline to `out`."""
    work.mkdir(parents=True, exist_ok=True)
    autoencoder = [_pictures_scaled(plan, share) for plan in _AUTOENCODER]
    vae = train_autoencoder(autoencoder, seed=seed, folder=work)
    tokenizer = make_tokenizer(out)
    pools = _pools(vae, tokenizer, _scaled(_POOL, min(share, 1.0), least=100), seed, work / "pool.pt")
    torch.manual_seed(seed)
    model = Denoiser(len(tokenizer))
    for name, plan in {"draw": _DRAW, "shape": _SHAPE, "hold": _HOLD}.items():
        scaled = replace(plan, steps=_scaled(plan.steps, share, least=2))
        average = train_denoiser(model, scaled, pools, seed=seed, checkpoint=work / f"{name}.pt")
    train_decoder(vae, _pictures_scaled(_DECODER, share), seed=seed, checkpoint=work / "decoder.pt")
    for part in (vae, average.unet):
        part.to(memory_format=torch.contiguous_format)
    pipeline = assemble(tokenizer, average.text_encoder, average.unet, vae)
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(out, safe_serialization=True)


def _pictures_scaled(plan: PicturePlan, share: float) -> PicturePlan:
    steps, drawings = _scaled(plan.steps, share, least=2), _scaled(plan.drawings, min(share, 1.0), least=50)
    return replace(plan, steps=steps, drawings=drawings, collages=_scaled(plan.collages, min(share, 1.0), least=10))


def _scaled(count: int, share: float, *, least: int) -> int:
    return max(least, round(count * share))


def _pools(vae: "AutoencoderTiny", tokenizer: "CLIPTokenizer", count: int, seed: int, checkpoint: Path) -> list[Pool]:
    if checkpoint.exists():
        return [Pool(*tensors) for tensors in torch.load(checkpoint, weights_only=True)]
    pools = make_pools(vae, tokenizer, count=count, captions=_CAPTIONS, seed=seed)
    torch.save([(pool.latents, pool.tokens, pool.empty) for pool in pools], checkpoint)
    return pools
