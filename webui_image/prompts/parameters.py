"""From the pairs in a picture's text to the fields of a request to A1111's API."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from webui_image.values.errors import Invalid

_MASKED_CONTENT = ("fill", "original", "latent noise", "latent nothing")


def to_parameters(fields: Mapping[str, str]) -> dict[str, Any]:
    """Give the request's fields; pairs that no request has a field for are left out.

    Raises Invalid, at `infotext.<key>`, where a value is not the number, size or word that belongs there.
    """
    found: dict[str, Any] = {}
    for key, (name, convert) in _PLAIN.items():
        if key in fields:
            found[name] = convert(key, fields[key])
    for key, (width, height) in _SIZES.items():
        if key in fields:
            found[width], found[height] = _size(key, fields[key])
    if "Hires upscale" in fields or "Hires resize" in fields:
        found["enable_hr"] = True
    settings = {name: convert(key, fields[key]) for key, (name, convert) in _SETTINGS.items() if key in fields}
    if settings:
        found["override_settings"] = settings
    return found


def _text(_key: str, value: str) -> str:
    return value


def _whole(key: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise Invalid(f"infotext.{key}", f"{value[:40]!r} is not a whole number; correct or remove it") from None


def _real(key: str, value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Invalid(f"infotext.{key}", f"{value[:40]!r} is not a number; correct or remove it")
    return found


def _size(key: str, value: str) -> tuple[int, int]:
    width, cross, height = value.partition("x")
    if not cross:
        raise Invalid(f"infotext.{key}", f"{value[:40]!r} is not a size; write it as 512x768")
    return _whole(key, width), _whole(key, height)


def _masked_content(key: str, value: str) -> int:
    if value not in _MASKED_CONTENT:
        raise Invalid(f"infotext.{key}", f"{value[:40]!r} is none of {', '.join(_MASKED_CONTENT)}")
    return _MASKED_CONTENT.index(value)


_PLAIN: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "Steps": ("steps", _whole),
    "Sampler": ("sampler_name", _text),
    "Schedule type": ("scheduler", _text),
    "CFG scale": ("cfg_scale", _real),
    "Seed": ("seed", _whole),
    "Variation seed": ("subseed", _whole),
    "Variation seed strength": ("subseed_strength", _real),
    "Denoising strength": ("denoising_strength", _real),
    "Eta": ("eta", _real),
    "Guidance rescale": ("guidance_rescale", _real),
    "Mask blur": ("mask_blur", _whole),
    "Masked content": ("inpainting_fill", _masked_content),
    "Mask mode": ("inpainting_mask_invert", lambda _, value: int(value == "Inpaint not masked")),
    "Inpaint area": ("inpaint_full_res", lambda _, value: value == "Only masked"),
    "Masked area padding": ("inpaint_full_res_padding", _whole),
    "Hires upscale": ("hr_scale", _real),
    "Hires steps": ("hr_second_pass_steps", _whole),
    "Hires upscaler": ("hr_upscaler", _text),
    "Hires sampler": ("hr_sampler_name", _text),
    "Hires schedule type": ("hr_scheduler", _text),
    "Hires prompt": ("hr_prompt", _text),
    "Hires negative prompt": ("hr_negative_prompt", _text),
}
_SIZES = {
    "Size": ("width", "height"),
    "Seed resize from": ("seed_resize_from_w", "seed_resize_from_h"),
    "Hires resize": ("hr_resize_x", "hr_resize_y"),
}
_SETTINGS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "Model": ("sd_model_checkpoint", _text),
    "VAE": ("sd_vae", _text),
    "Clip skip": ("CLIP_stop_at_last_layers", _whole),
}
