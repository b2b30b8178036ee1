"""A request in A1111's words: the pairs of the last line in a picture's text, in A1111's order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from webui_image.prompts import pairs
from webui_image.values.generation import Generation, HiresFix, Mask, MaskFill

MASKED_CONTENT = {
    MaskFill.FILL: "fill",
    MaskFill.ORIGINAL: "original",
    MaskFill.LATENT_NOISE: "latent noise",
    MaskFill.LATENT_NOTHING: "latent nothing",
}

EXACT, EXACT_NEGATIVE = "Exact prompt", "Exact negative prompt"
RESERVED = {"Prompt", "Negative prompt", "Version", EXACT, EXACT_NEGATIVE}

_NO_KEY = re.compile(r"[^\w \-/]+")


def described(
    generation: Generation,
    *,
    index: int,
    model: str,
    model_hash: str,
    seed: int | None,
    variation_seed: int | None,
    lora_hashes: Mapping[str, str],
    vae_hash: str,
) -> dict[str, str]:
    """Give the pairs for one picture; values that say nothing are empty. Tags cannot replace a pair of A1111's."""
    varied = generation.variation is not None and generation.variation.strength != 0
    if seed is None:
        seed = generation.seed + (0 if varied else index)
    fields = {
        "Steps": str(generation.steps),
        "Sampler": generation.sampler,
        "Schedule type": generation.scheduler,
        "CFG scale": number(generation.cfg_scale),
        "Seed": str(seed),
        "Size": f"{generation.width}x{generation.height}",
        "Model hash": model_hash,
        "Model": model,
        "VAE hash": vae_hash,
        "VAE": "" if generation.vae == "Automatic" else generation.vae,
    }
    if generation.variation is not None and varied:
        other = generation.variation.seed + index if variation_seed is None else variation_seed
        fields["Variation seed"] = str(other)
        fields["Variation seed strength"] = number(generation.variation.strength)
    if generation.seed_resize_from is not None:
        fields["Seed resize from"] = "{}x{}".format(*generation.seed_resize_from)
    fields |= dict(_source_pairs(generation))
    if generation.clip_skip > 1:
        fields["Clip skip"] = str(generation.clip_skip)
    if generation.eta is not None:
        fields["Eta"] = number(generation.eta)
    if generation.guidance_rescale is not None:
        fields["Guidance rescale"] = number(generation.guidance_rescale)
    if generation.hires is not None:
        fields |= dict(_hires_pairs(generation.hires))
    fields["Lora hashes"] = ", ".join(f"{name}: {value}" for name, value in lora_hashes.items())
    fields["RNG"] = "CPU"
    return fields | {key: value for key, value in _tags(generation) if key not in fields and key not in RESERVED}


def number(value: float) -> str:
    """Give a number as short as it can be read back exactly: 7.0 is `7`."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def tag_key(text: str) -> str:
    """Give a tag's name as a key: characters that a key cannot have become blanks, `Tag` comes before what is none."""
    key = _NO_KEY.sub(" ", text).strip(" -/")
    return key if pairs.is_key(key) else f"Tag {key}".strip()


def _tags(generation: Generation) -> Iterator[tuple[str, str]]:
    return ((tag_key(key), value) for key, value in generation.tags.items())


def _source_pairs(generation: Generation) -> Iterator[tuple[str, str]]:
    if generation.source is None:
        return
    yield "Denoising strength", number(generation.source.denoising_strength)
    if generation.source.mask is not None:
        yield from _mask_pairs(generation.source.mask)


def _mask_pairs(mask: Mask) -> Iterator[tuple[str, str]]:
    yield "Mask blur", str(mask.blur)
    yield "Masked content", MASKED_CONTENT[mask.fill]
    if mask.invert:
        yield "Mask mode", "Inpaint not masked"
    if mask.only_masked:
        yield "Inpaint area", "Only masked"
        yield "Masked area padding", str(mask.padding)


def _hires_pairs(hires: HiresFix) -> Iterator[tuple[str, str]]:
    yield "Denoising strength", number(hires.denoising_strength)
    if hires.width or hires.height:
        yield "Hires resize", f"{hires.width}x{hires.height}"
    else:
        yield "Hires upscale", number(hires.scale)
    if hires.steps:
        yield "Hires steps", str(hires.steps)
    yield "Hires upscaler", hires.upscaler
    yield "Hires sampler", hires.sampler or ""
    yield "Hires schedule type", hires.scheduler or ""
    yield "Hires prompt", hires.prompt
    yield "Hires negative prompt", hires.negative_prompt
