"""The noise that a picture starts from.

It is drawn on the CPU in single precision whatever the device, so that a seed means the same picture on all of them,
and with a generator of the picture's own, so that company in a call changes nothing. Where nothing special is asked,
it is what the pipeline draws from `torch.Generator("cpu").manual_seed(seed)`, and the generator is left where the
pipeline's is: samplers that add noise go on from there.
"""

from __future__ import annotations

import torch

from webui_image.engine.seeds import Seeds

__all__ = ["draw", "slerp"]

_NEARLY_PARALLEL = 0.9995


def draw(
    seeds: Seeds,
    shape: tuple[int, int, int],
    resize_from: tuple[int, int] | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[torch.Tensor, torch.Generator]:
    """Draw noise (1, C, h, w) on the CPU, and give the generator as it stands after drawing it.

    `shape` is (C, h, w) in latents; `resize_from` (h, w) in latents is the size whose composition is kept (A1111's
    seed_resize_from): noise is drawn at that size and laid over the middle of the noise of the wanted one.
    """
    drawn = (shape[0], *resize_from) if resize_from is not None else shape
    generator = torch.Generator("cpu").manual_seed(seeds.seed)
    noise = torch.randn((1, *drawn), generator=generator, dtype=dtype)
    if seeds.variation_seed is not None and seeds.variation_strength != 0:
        other = torch.Generator("cpu").manual_seed(seeds.variation_seed)
        noise = slerp(seeds.variation_strength, noise, torch.randn((1, *drawn), generator=other, dtype=dtype))
    if drawn != shape:
        generator = torch.Generator("cpu").manual_seed(seeds.seed)
        noise = _laid_over(torch.randn((1, *shape), generator=generator, dtype=dtype), noise)
    return noise, generator


def slerp(amount: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Interpolate (1, C, h, w) on the sphere, as A1111 does: column by column, so that its variations are met."""
    low_unit = low / torch.norm(low, dim=2, keepdim=True)
    high_unit = high / torch.norm(high, dim=2, keepdim=True)
    cosine = (low_unit * high_unit).sum(2)
    if cosine.mean() > _NEARLY_PARALLEL:
        return low * (1 - amount) + high * amount
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    one = (torch.sin((1.0 - amount) * angle) / sine).unsqueeze(2)
    other = (torch.sin(amount * angle) / sine).unsqueeze(2)
    mixed = one * low + other * high
    return torch.where(sine.unsqueeze(2) == 0, low * (1 - amount) + high * amount, mixed)


def _laid_over(wanted: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
    """Lay `middle` over the middle of `wanted`, cutting off what is larger."""
    for axis in (2, 3):
        offset = (wanted.shape[axis] - middle.shape[axis]) // 2
        length = min(wanted.shape[axis], middle.shape[axis])
        if offset < 0:
            middle = middle.narrow(axis, -offset, length)
    top, left = (max(0, (wanted.shape[axis] - middle.shape[axis]) // 2) for axis in (2, 3))
    wanted = wanted.clone()
    wanted[:, :, top : top + middle.shape[2], left : left + middle.shape[3]] = middle
    return wanted
