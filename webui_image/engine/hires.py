"""Between the two passes of hires fix: the first picture becomes the second's start, at another size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.engine.model import LoadedModel

__all__ = ["as_tensor", "enlarged"]


def enlarged(model: LoadedModel, latents: torch.Tensor, upscaler: str, width: int, height: int) -> torch.Tensor:
    """Enlarge latents (1, C, h, w) to a picture size in pixels: as latents, or by way of the picture.

    `upscaler` is a name from `pictures.upscale`, checked when the request was planned.
    """
    from webui_image.pictures import upscale

    size = (height // model.scale, width // model.scale)
    if upscaler in upscale.LATENT_MODES:
        if tuple(latents.shape[2:]) == size:
            return latents
        mode, antialias = upscale.LATENT_MODES[upscaler]
        return torch.nn.functional.interpolate(latents.float(), size=size, mode=mode, antialias=antialias).to(
            latents.dtype
        )
    from PIL import Image as Images

    picture = Images.fromarray(model.decode(latents)[0])
    larger = upscale.upscale(picture, upscaler, width, height).convert("RGB")
    return model.encode_picture(as_tensor(larger))


def as_tensor(image: Image.Image) -> torch.Tensor:
    """Give an RGB picture as (1, 3, H, W) of -1 to 1, its channels side by side in memory as the pipelines have them.

    The order in memory decides which kernels are taken, and so the last bits.
    """
    import numpy as np

    return torch.from_numpy(np.array(image)[None]).permute(0, 3, 1, 2).float() / 255.0 * 2.0 - 1.0
