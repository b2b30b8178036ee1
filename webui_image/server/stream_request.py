"""What `POST /api/generate` takes: the words of `Generation`, the model's recommended settings where one is left out.

Unlike A1111's body, a key that is not known is refused, so that a misspelt one is not silently without effect. A
picture is a data URI or base64, never an address. The limits are those of the A1111 API, checked by the same function.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from webui_image.clock import random_seed
from webui_image.server import names
from webui_image.server.limits import check
from webui_image.values.errors import Invalid
from webui_image.values.generation import Generation, HiresFix, Mask, MaskFill, ResizeMode, Source, Variation

if TYPE_CHECKING:
    from webui_image.server.context import Context

# What a field of `Generation` is called in this body, where the names differ.
_NAMES = {
    "source.denoising_strength": "denoising_strength",
    "source.mask.blur": "mask_blur",
    "source.mask.padding": "mask_padding",
}
_RESIZE = {"stretch": ResizeMode.STRETCH, "crop": ResizeMode.CROP, "fill": ResizeMode.FILL, "latent": ResizeMode.LATENT}
_FILL = {
    "fill": MaskFill.FILL,
    "original": MaskFill.ORIGINAL,
    "noise": MaskFill.LATENT_NOISE,
    "nothing": MaskFill.LATENT_NOTHING,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class VariationBody(_Strict):
    """Noise between two seeds: strength 0 is the seed's own, 1 is the other's."""

    seed: int | None = Field(None, description="drawn when left out")
    strength: float


class HiresBody(_Strict):
    """A second pass over the enlarged picture; zeros and nulls mean: as in the first pass."""

    scale: float = 2.0
    width: int = 0
    height: int = 0
    steps: int = 0
    upscaler: str | None = Field(None, description="the first listed when left out")
    denoising_strength: float = 0.7
    sampler: str | None = None
    scheduler: str | None = None
    prompt: str = ""
    negative_prompt: str = ""


class GenerateBody(_Strict):
    """A request for pictures. Settings that are left out, or null, are those the model draws best with."""

    prompt: str = ""
    negative_prompt: str | None = None
    width: int | None = Field(None, description="pixels, a multiple of 8")
    height: int | None = Field(None, description="pixels, a multiple of 8")
    steps: int | None = None
    cfg_scale: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    seed: int | None = Field(None, description="drawn when left out or -1; picture i has seed + i")
    count: int = 1
    model: str = ""
    vae: str = ""
    clip_skip: int = 1
    eta: float | None = None
    guidance_rescale: float | None = None
    variation: VariationBody | None = None
    image: str | None = Field(None, description="start picture: PNG, JPEG or WebP as data URI or base64")
    denoising_strength: float = 0.75
    resize_mode: Literal["stretch", "crop", "fill", "latent"] = "crop"
    mask: str | None = Field(None, description="picture; white is painted anew")
    mask_blur: int = 4
    mask_fill: Literal["fill", "original", "noise", "nothing"] = "original"
    mask_padding: int = 32
    mask_invert: bool = False
    only_masked: bool = False
    hires: HiresBody | None = None
    previews: bool = True
    exact: bool = False


def to_generation(body: GenerateBody, context: Context) -> Generation:
    """Make the request complete and hold it against the limits; decodes pictures, so it runs beside the event loop.

    Raises Invalid or TooLarge naming the body's field, NotReady where no model is loaded.
    """
    model = names.model(context, body.model, "model")
    best = model.recommended
    sampler, scheduler = _sampler(
        body.sampler or best.sampler, body.scheduler or _default_schedule(body, best.scheduler)
    )
    limits = context.settings.limits
    plain = check(
        Generation(
            prompt=body.prompt,
            negative_prompt=best.negative_prompt if body.negative_prompt is None else body.negative_prompt,
            width=best.width if body.width is None else body.width,
            height=best.height if body.height is None else body.height,
            steps=best.steps if body.steps is None else body.steps,
            cfg_scale=best.cfg_scale if body.cfg_scale is None else body.cfg_scale,
            sampler=sampler,
            scheduler=scheduler,
            seed=_seed(body.seed),
            count=body.count,
            model=model.name,
            vae=names.vae(body.vae),
            clip_skip=body.clip_skip,
            eta=body.eta,
            variation=_variation(body.variation),
            hires=_hires(body.hires),
            guidance_rescale=body.guidance_rescale,
            exact=body.exact,
            previews=body.previews,
        ),
        limits,
        _NAMES,
    )
    # Pictures are decoded last: what is refused in any case costs nothing.
    return check(replace(plain, source=_source(body, context)), limits, _NAMES)


def _default_schedule(body: GenerateBody, recommended: str) -> str:
    # The recommended schedule belongs to the recommended sampler; another one may not have it.
    return recommended if body.sampler is None else "Automatic"


def _sampler(name: str, scheduler: str, prefix: str = "") -> tuple[str, str]:
    from webui_image.engine.samplers import resolve

    try:
        choice = resolve(name, scheduler)
    except Invalid as error:
        raise Invalid(prefix + ("sampler" if error.field == "sampler_name" else error.field), error.message) from None
    return choice.sampler, choice.schedule


def _seed(seed: int | None) -> int:
    return random_seed() if seed in {None, -1} else int(seed or 0)


def _variation(body: VariationBody | None) -> Variation | None:
    if body is None or body.strength == 0:
        return None
    return Variation(_seed(body.seed), body.strength)


def _hires(body: HiresBody | None) -> HiresFix | None:
    from webui_image.pictures.upscale import LATENT_MODES, UPSCALERS

    if body is None:
        return None
    offered = [*LATENT_MODES, *UPSCALERS]
    upscaler = names.upscaler(body.upscaler, offered, "hires.upscaler") if body.upscaler else offered[0]
    sampler, scheduler = body.sampler, body.scheduler
    if sampler:
        sampler, scheduler = _sampler(sampler, scheduler or "Automatic", "hires.")
    return HiresFix(
        scale=body.scale,
        width=body.width,
        height=body.height,
        steps=body.steps,
        upscaler=upscaler,
        denoising_strength=body.denoising_strength,
        sampler=sampler,
        scheduler=scheduler,
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
    )


def _source(body: GenerateBody, context: Context) -> Source | None:
    if body.image is None:
        if body.mask is not None:
            raise Invalid("mask", "there is no start picture to lay it over: send `image` too")
        return None
    from webui_image.pictures import decode
    from webui_image.pictures.limits import PictureLimits

    limits = PictureLimits(pixels=context.settings.limits.input_pixels)
    image = decode.picture(body.image, field="image", limits=limits)
    mask = None
    if body.mask is not None:
        mask = Mask(
            image=decode.mask(body.mask, field="mask", limits=limits),
            blur=body.mask_blur,
            fill=_FILL[body.mask_fill],
            only_masked=body.only_masked,
            padding=body.mask_padding,
            invert=body.mask_invert,
        )
    return Source(image, body.denoising_strength, _RESIZE[body.resize_mode], mask)
