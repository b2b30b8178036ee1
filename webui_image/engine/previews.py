"""What a picture looks like so far: small, rough, and cheap enough not to slow the others down.

At every step the model's prediction and its input give an estimate of the finished latents. Where the autoencoder is
the tiny kind, it decodes them; else a matrix from latents to colours does, fitted once per model by encoding a
picture of known colours. The same estimate is what an interrupted picture is decoded from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.engine.model import LoadedModel
    from webui_image.engine.stepping import Sampling

__all__ = ["Previewer", "estimate"]

_SIDE = 256  # of a preview at most, in pixels
_PATCH = 256  # side of the picture that the matrix is fitted to


def estimate(sampling: Sampling) -> torch.Tensor:
    """Estimate the finished latents (1, C, h, w) from the last step; before any step, the latents as they are."""
    if sampling.last_input is None or sampling.last_output is None:
        return sampling.latents
    scheduler = sampling.scheduler
    time = round(sampling.times[sampling.index - 1])
    alphas = scheduler.alphas_cumprod
    signal = float(alphas[min(max(time, 0), len(alphas) - 1)])
    scale, noise = max(signal, 1e-8) ** 0.5, (1 - signal) ** 0.5
    given, output = sampling.last_input, sampling.last_output
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return output
    if kind == "v_prediction":
        return scale * given - noise * output
    return (given - noise * output) / scale


class Previewer:
    """Makes previews for one model. For the engine's thread only."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._matrix: torch.Tensor | None = None

    def preview(self, sampling: Sampling) -> Image.Image:
        """Draw a picture as it stands, at most 256 pixels a side."""
        from PIL import Image

        with torch.inference_mode():
            latents = estimate(sampling)
            if type(self._model.vae).__name__ == "AutoencoderTiny" and latents.shape[-1] * latents.shape[-2] <= _SIDE:
                image = Image.fromarray(self._model.decode(latents)[0])
            else:
                image = Image.fromarray(self._colours(latents[0].float().cpu()).numpy())
        width, height = sampling.size
        factor = min(1.0, _SIDE / max(width, height))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)

    def _colours(self, latents: torch.Tensor) -> torch.Tensor:
        """Turn latents (C, h, w) into bytes (h, w, 3)."""
        if self._matrix is None:
            self._matrix = _fit(self._model)
        rows = latents.flatten(1).T
        colours = torch.cat([rows, torch.ones(len(rows), 1)], dim=1) @ self._matrix
        scaled = ((colours + 1) * 127.5).clamp(0, 255)
        return scaled.nan_to_num(0).to(torch.uint8).reshape(*latents.shape[1:], 3)


def _fit(model: LoadedModel) -> torch.Tensor:
    """Fit a matrix (C + 1, 3) from latents and a constant to colours of -1 to 1, by least squares."""
    drawn = torch.rand((1, 3, _PATCH // 32, _PATCH // 32), generator=torch.Generator("cpu").manual_seed(0)) * 2 - 1
    image = torch.nn.functional.interpolate(drawn, size=(_PATCH, _PATCH), mode="bicubic").clamp(-1, 1)
    latents = model.encode_picture(image)[0].float().cpu()
    colours = torch.nn.functional.avg_pool2d(image, model.scale)[0].flatten(1).T
    rows = latents.flatten(1).T
    with_constant = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
    damping = 1e-3 * torch.eye(with_constant.shape[1])
    return torch.linalg.solve(with_constant.T @ with_constant + damping * len(rows), with_constant.T @ colours)
