"""One set of weights in memory, and what the sampling loop needs of it.

The loop works on latents of many requests at once and knows nothing of kinds of models. What differs between them is
here: how a picture becomes latents and back (scaling, precision, memory), the extra conditions of SDXL, the LoRAs in
force. A `LoadedModel` belongs to the engine's one thread; nothing in it may be called from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from webui_image.values.errors import NotFinite, OutOfMemory

if TYPE_CHECKING:
    import numpy as np
    import torch

    from webui_image.engine.devices import Device
    from webui_image.engine.embeddings import EmbeddingTable
    from webui_image.values.generation import Lora
    from webui_image.values.ports import ModelInfo

__all__ = ["LoadedModel", "LoraSwitch", "Parts"]

_DECODED_AT_ONCE = 1 << 20
"""Pixels decoded in one call: four pictures of 512 x 512 need about 2 GB in half precision."""


class LoraSwitch(Protocol):
    """Changes which LoRAs are mixed into the weights."""

    active: tuple[Lora, ...]

    def use(self, loras: tuple[Lora, ...]) -> None:
        """Mix in exactly these; raises Invalid for one that is unknown or of another architecture."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The components as loaded. One or two text encoders with their tokenizers, in the order of their embeddings."""

    unet: Any
    vae: Any
    text_encoders: tuple[Any, ...]
    tokenizers: tuple[Any, ...]
    scheduler_config: dict[str, Any]
    zero_empty_negative: bool = False  # SDXL's force_zeros_for_empty_prompt


class LoadedModel:
    """A model ready to be sampled from."""

    scale = 8  # pixels per latent, per side; checked when loading

    def __init__(self, info: ModelInfo, parts: Parts, device: Device, loras: LoraSwitch | None = None) -> None:
        self.info = info
        self.unet = parts.unet
        self.vae = parts.vae
        self.text_encoders = parts.text_encoders
        self.tokenizers = parts.tokenizers
        self.scheduler_config = parts.scheduler_config
        self.zero_empty_negative = parts.zero_empty_negative
        self.device = device.device
        self.dtype = device.dtype
        self.latent_channels: int = parts.vae.config.latent_channels
        self.prediction_type: str = parts.scheduler_config.get("prediction_type", "epsilon")
        self.inpainting: bool = parts.unet.config.in_channels == 2 * self.latent_channels + 1
        self.is_sdxl = len(parts.text_encoders) == 2
        self.embeddings: EmbeddingTable | None = None  # what the registry's folder has for these text encoders
        self._loras = loras
        self._decoded_at_once = _DECODED_AT_ONCE
        if device.short_of_memory:
            self.save_memory()

    @property
    def loras(self) -> tuple[Lora, ...]:
        """The LoRAs now in force."""
        return self._loras.active if self._loras is not None else ()

    @property
    def bytes(self) -> int:
        """What the weights take in memory."""
        parts = (self.unet, self.vae, *self.text_encoders)
        return sum(value.numel() * value.element_size() for part in parts for value in part.parameters())

    def use_loras(self, loras: tuple[Lora, ...]) -> None:
        """Mix in exactly these LoRAs; costs nothing where they are already in force.

        Raises Invalid("prompt", ...) naming one that is unknown or was made for another kind of model.
        """
        if loras == self.loras:
            return
        if self._loras is None:
            from webui_image.values.errors import Invalid

            raise Invalid("prompt", f"there is no LoRA {loras[0].name!r}: no folder of LoRAs is configured (LORA_DIR)")
        self._loras.use(loras)

    def added_conditions(
        self, pooled: torch.Tensor | None, sizes: Sequence[tuple[int, int]]
    ) -> dict[str, torch.Tensor] | None:
        """Give the UNet's `added_cond_kwargs`, None but for SDXL: `pooled` (B, P), `sizes` B of (width, height)."""
        if not self.is_sdxl or pooled is None:
            return None
        import torch

        rows = [(height, width, 0, 0, height, width) for width, height in sizes]
        return {"text_embeds": pooled, "time_ids": torch.tensor(rows, dtype=pooled.dtype, device=self.device)}

    def encode_picture(self, image: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Turn a picture (1, 3, H, W) of -1 to 1 into latents (1, C, H/8, W/8), scaled as the UNet expects them.

        `generator` draws from the encoder's distribution where it has one, as the pipelines do; None takes its mode.
        """
        import torch

        with torch.inference_mode():
            encoded = self.vae.encode(image.to(self.device, self.vae.dtype))
            if hasattr(encoded, "latent_dist"):
                latents = encoded.latent_dist.sample(generator) if generator is not None else encoded.latent_dist.mode()
            else:
                latents = encoded.latents
            return self._scaled(latents.to(self.dtype))

    def decode(self, latents: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Turn latents (B, C, h, w) into pictures: uint8 (B, 8h, 8w, 3).

        One row alone is bit for bit the pipeline's picture. As many rows at once as memory allows, tiles of a row when
        even one is too much. Raises OutOfMemory, and NotFinite where a row holds NaN also in single precision: decode
        the rows one by one then, to keep the good ones.
        """
        import numpy as np
        import torch

        with torch.inference_mode():
            pixels = latents.shape[-1] * latents.shape[-2] * self.scale**2
            pieces = latents.split(max(1, self._decoded_at_once // pixels))
            return np.concatenate([self._decode_within_memory(piece) for piece in pieces])

    def save_memory(self) -> None:
        """Trade time for memory from now on: attention in slices, autoencoder row by row and in tiles. Idempotent."""
        self._decoded_at_once = 1
        self.unet.set_attention_slice("auto")
        for method in ("enable_slicing", "enable_tiling"):
            if hasattr(self.vae, method):
                getattr(self.vae, method)()

    def _decode_within_memory(self, latents: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
        import torch

        try:
            return self._decode_rows(latents)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            if len(latents) == 1 and self._decoded_at_once == 1:
                raise OutOfMemory("no memory to decode the picture: ask for a smaller one") from error
        if len(latents) == 1:
            self.save_memory()
        else:
            self._decoded_at_once = 1
        return self.decode(latents)

    def _decode_rows(self, latents: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
        import torch

        image = self.vae.decode(self._unscaled(latents.to(self.vae.dtype)), return_dict=False)[0]
        if not torch.isfinite(image).all():
            if self.vae.dtype == torch.float32:
                raise NotFinite(
                    "the autoencoder gave numbers that are none (NaN); lower the CFG scale or take another sampler"
                )
            self.vae.to(torch.float32)  # for good: weights that overflow once will do so again
            return self._decode_rows(latents)
        image = (image * 0.5 + 0.5).clamp(0, 1)
        array = image.cpu().permute(0, 2, 3, 1).float().numpy()
        pictures: np.ndarray[Any, np.dtype[np.uint8]] = (array * 255).round().astype("uint8")
        return pictures

    def _scaled(self, latents: torch.Tensor) -> torch.Tensor:
        statistics = self._statistics(latents)
        if statistics is None:
            return self.vae.config.scaling_factor * latents
        mean, deviation = statistics
        return (latents - mean) * self.vae.config.scaling_factor / deviation

    def _unscaled(self, latents: torch.Tensor) -> torch.Tensor:
        statistics = self._statistics(latents)
        if statistics is None:
            return latents / self.vae.config.scaling_factor
        mean, deviation = statistics
        return latents * deviation / self.vae.config.scaling_factor + mean

    def _statistics(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Mean and deviation of the latents by channel, which some SDXL autoencoders (Playground) bring along."""
        mean, deviation = (getattr(self.vae.config, name, None) for name in ("latents_mean", "latents_std"))
        if not self.is_sdxl or mean is None or deviation is None:
            return None
        import torch

        rows = (torch.tensor(values).view(1, -1, 1, 1).to(like.device, like.dtype) for values in (mean, deviation))
        return next(rows), next(rows)
