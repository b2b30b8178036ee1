"""What a picture's denoising starts from: noise alone, a picture with noise over it, or a first pass made larger.

The order in which random numbers are drawn decides what a seed means. It is A1111's: the noise comes first, and a
source picture is encoded without chance. Only `exact` requests draw in the order of diffusers' pipelines, which take
a random sample from the autoencoder before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from webui_image.engine.hires import as_tensor, enlarged
from webui_image.engine.noise import draw
from webui_image.engine.stepping import Inpainting
from webui_image.values.generation import MaskFill, ResizeMode

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.engine.job import Picture
    from webui_image.engine.model import LoadedModel
    from webui_image.pictures.inpaint import Prepared
    from webui_image.values.generation import Source

__all__ = ["Beginning", "second_pass", "start_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """Everything (1, C, h, w) on the device. `original` is None where the picture starts from noise alone."""

    noise: torch.Tensor
    generator: torch.Generator
    original: torch.Tensor | None = None
    inpainting: Inpainting | None = None
    extra_channels: torch.Tensor | None = None


def start_of(picture: Picture, model: LoadedModel) -> Beginning:
    """Give what the first pass starts from."""
    generation = picture.job.generation
    if generation.source is None:
        noise, generator = _noise(picture, model)
        return Beginning(noise, generator, extra_channels=_nothing_kept(picture, model))
    source = _Encoded.of(picture, generation.source, model)
    if generation.exact:
        generator = torch.Generator("cpu").manual_seed(picture.seeds.seed)
        original = model.encode_picture(source.image, generator)
        noise = torch.randn(original.shape, generator=generator, dtype=original.dtype).to(model.device)
    else:
        noise, generator = _noise(picture, model)
        original = source.latents(model).to(noise.dtype)
    if source.painted is None:
        return Beginning(noise, generator, original, extra_channels=_nothing_kept(picture, model))
    keep = 1 - source.painted.to(noise.device, noise.dtype)
    if source.fill is MaskFill.LATENT_NOISE:
        original = original * keep + noise * (1 - keep)
    elif source.fill is MaskFill.LATENT_NOTHING:
        original = original * keep
    if model.inpainting:
        return Beginning(noise, generator, original, extra_channels=source.channels(model))
    return Beginning(noise, generator, original, Inpainting(original, noise, keep))


def second_pass(picture: Picture, model: LoadedModel) -> Beginning:
    """Give what a later pass starts from: the pass before it, enlarged, with the seed's noise at the new size."""
    hires, current = picture.job.generation.hires, picture.current
    if hires is None:
        raise AssertionError("only hires fix has a second pass")
    original = enlarged(model, picture.latents, hires.upscaler, current.width, current.height)
    noise, generator = _noise(picture, model)
    return Beginning(noise, generator, original.to(noise.dtype), extra_channels=_nothing_kept(picture, model))


def _noise(picture: Picture, model: LoadedModel) -> tuple[torch.Tensor, torch.Generator]:
    generation, group = picture.job.generation, picture.group
    resize_from = None
    if generation.seed_resize_from is not None and picture.at_pass == 0:
        width, height = generation.seed_resize_from
        resize_from = (height // model.scale, width // model.scale) if width > 0 and height > 0 else None
    shape = (model.latent_channels, group.height, group.width)
    dtype = model.dtype if generation.exact else torch.float32
    noise, generator = draw(picture.seeds, shape, resize_from, dtype)
    return noise.to(model.device), generator


class _Encoded:
    """A source picture as tensors; made once for all pictures of a request."""

    def __init__(
        self, image: torch.Tensor, painted: torch.Tensor | None, fill: MaskFill, size: tuple[int, int]
    ) -> None:
        self.image = image  # (1, 3, H, W), -1 to 1
        self.painted = painted  # (1, 1, h, w), 1 where it is painted
        self.fill = fill
        self._size = size  # height and width in latents
        self._latents: torch.Tensor | None = None
        self._channels: torch.Tensor | None = None

    @staticmethod
    def of(picture: Picture, source: Source, model: LoadedModel) -> _Encoded:
        """Give the request's source, preparing it for the first of its pictures."""
        shared = picture.job.shared
        if "encoded" not in shared:
            shared["encoded"] = _encoded(picture, source, model.scale)
        encoded: _Encoded = shared["encoded"]
        return encoded

    def latents(self, model: LoadedModel) -> torch.Tensor:
        """Encode the picture; one of another size (ResizeMode.LATENT) is resized as latents."""
        if self._latents is None:
            latents = model.encode_picture(self.image)
            if tuple(latents.shape[2:]) != self._size:
                latents = torch.nn.functional.interpolate(latents.float(), size=self._size, mode="bilinear").to(
                    latents.dtype
                )
            self._latents = latents
        return self._latents

    def channels(self, model: LoadedModel) -> torch.Tensor:
        """Give what an inpainting UNet reads beside the latents: the mask, and the picture without what is painted."""
        if self._channels is None:
            painted = self.painted if self.painted is not None else torch.ones((1, 1, *self._size))
            large = torch.nn.functional.interpolate(painted, size=self.image.shape[2:])
            masked = model.encode_picture(self.image * (large < 0.5))
            self._channels = torch.cat([painted.to(masked.device, masked.dtype), masked], dim=1)
        return self._channels


def _encoded(picture: Picture, source: Source, scale: int) -> _Encoded:
    import numpy as np
    from PIL import Image as Images

    from webui_image.pictures import inpaint

    generation, group, current = picture.job.generation, picture.group, picture.current
    latent = source.resize_mode is ResizeMode.LATENT and source.mask is None
    if latent:
        width, height = (max(scale, side // scale * scale) for side in source.image.size)
        prepared: Prepared = inpaint.prepare(replace(source, resize_mode=ResizeMode.STRETCH), width, height)
    else:
        prepared = inpaint.prepare(source, generation.width, generation.height)
    picture.job.shared["prepared"] = prepared
    image: Image.Image = prepared.image
    if not latent and image.size != (current.width, current.height):
        image = image.resize((current.width, current.height), Images.Resampling.LANCZOS)
    painted = None
    if prepared.latent_mask is not None:
        cells = inpaint.latent_mask(prepared.latent_mask, group.width, group.height)
        painted = (torch.from_numpy(np.array(cells)) > 127).float()[None, None]
    return _Encoded(as_tensor(image), painted, prepared.fill, (group.height, group.width))


def _nothing_kept(picture: Picture, model: LoadedModel) -> torch.Tensor | None:
    """Give an inpainting UNet the mask and picture that mean: paint everything."""
    if not model.inpainting:
        return None
    shared: dict[str, Any] = picture.job.shared
    key = f"empty {picture.group.width} {picture.group.height}"
    if key not in shared:
        size = (picture.group.height, picture.group.width)
        grey = torch.zeros((1, 3, size[0] * model.scale, size[1] * model.scale))
        shared[key] = _Encoded(grey, None, MaskFill.ORIGINAL, size).channels(model)
    channels: torch.Tensor = shared[key]
    return channels
