"""The training pool: drawings as latents and captions as token ids, made once, so a step costs the network only."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from webui_image.demo_model.train.autoencoder import encode
from webui_image.demo_model.train.captions import caption, meaningless, trained_scene
from webui_image.demo_model.train.drawing import draw

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny
    from transformers import CLIPTokenizer

__all__ = ["Batch", "Pool", "make_pools"]

log = logging.getLogger(__name__)
_SIZES: Final = {(64, 64): 1.0, (96, 64): 0.1, (64, 96): 0.1, (96, 96): 0.1}
"""Width and height with their share of the pool's stated count."""
_EMPTY_PROMPTS: Final = 256


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures and what they show."""

    latents: torch.Tensor  # (n, 4, height / 8, width / 8)
    tokens: torch.Tensor  # (n, 77)


@dataclass(frozen=True, slots=True)
class Pool:
    """Pictures of one size with several captions each, and prompts that ask for nothing."""

    latents: torch.Tensor  # (pictures, 4, height / 8, width / 8), fp16
    tokens: torch.Tensor  # (pictures, captions, 77), int16
    empty: torch.Tensor  # (256, 77), int16

    def draw(self, count: int, chance: torch.Generator) -> Batch:
        """Random pictures, each with one of its captions."""
        rows = torch.randint(len(self.latents), (count,), generator=chance)
        which = torch.randint(self.tokens.shape[1], (count,), generator=chance)
        return Batch(self.latents[rows].float(), self.tokens[rows, which].long())

    def dropped(self, tokens: torch.Tensor, share: float, chance: torch.Generator) -> torch.Tensor:
        """Replace that share of the captions by prompts that ask for nothing."""
        rows = torch.randint(len(self.empty), (len(tokens),), generator=chance)
        drop = torch.rand(len(tokens), 1, generator=chance) < share
        return torch.where(drop, self.empty[rows].long(), tokens)


def make_pools(
    vae: "AutoencoderTiny", tokenizer: "CLIPTokenizer", *, count: int, captions: int, seed: int
) -> list[Pool]:
    """One pool per picture size, the square one first; the same for the same seed."""
    rng = np.random.default_rng(seed)
    empty = _tokens(tokenizer, ["", *(meaningless(rng) for _ in range(_EMPTY_PROMPTS - 1))])
    pools = []
    for (width, height), share in _SIZES.items():
        latents, texts = [], []
        for start in range(0, round(count * share), 1000):
            scenes = [trained_scene(rng) for _ in range(min(1000, round(count * share) - start))]
            pictures = np.stack([draw(scene, None, width, height) for scene in scenes])
            latents.append(encode(vae, torch.from_numpy(pictures)))
            texts += [caption(scene, rng) for scene in scenes for _ in range(captions)]
        pool = Pool(torch.cat(latents), _tokens(tokenizer, texts).unflatten(0, (-1, captions)), empty)
        log.info("pool %dx%d: %d pictures, %d captions", width, height, len(pool.latents), len(texts))
        pools.append(pool)
    return pools


def _tokens(tokenizer: "CLIPTokenizer", texts: list[str]) -> torch.Tensor:
    rows = tokenizer(texts, padding="max_length", max_length=77, truncation=True).input_ids
    return torch.tensor(rows, dtype=torch.int16)
