"""Between the two passes of hires fix: the first picture becomes the second's start, at another size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from webui_image.engine.model import LoadedModel

__all__ = ["enlarged"]


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
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(model.decode(latents)[0])
    larger = upscale.upscale(picture, upscaler, width, height).convert("RGB")
    values = torch.from_numpy(np.array(larger)).float().permute(2, 0, 1)[None] / 255.0
    return model.encode_picture(values * 2.0 - 1.0)
