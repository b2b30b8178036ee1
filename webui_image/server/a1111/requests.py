"""From a body of A1111's API to a `Generation`: aliases resolved, seeds drawn, defaults filled in, limits checked.

The order of what decides is A1111's: what the body says, then the infotext in it, then `override_settings`, then the
caller's options, then the server's defaults.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from webui_image.clock import random_seed
from webui_image.prompts import infotext
from webui_image.server import names
from webui_image.server.a1111 import unsupported
from webui_image.server.a1111.schemas import Generate, TextToImage
from webui_image.server.limits import check
from webui_image.values.errors import Invalid
from webui_image.values.generation import Generation, HiresFix, Variation

if TYPE_CHECKING:
    from webui_image.server.context import Context

B = TypeVar("B", bound=Generate)
_DENOISING_HIRES = 0.7

# What the fields of a Generation are called here.
NAMES = {
    "count": "batch_size",
    "sampler": "sampler_name",
    "model": "override_settings.sd_model_checkpoint",
    "vae": "override_settings.sd_vae",
    "clip_skip": "override_settings.CLIP_stop_at_last_layers",
    "variation.seed": "subseed",
    "variation.strength": "subseed_strength",
    "seed_resize_from": "seed_resize_from_w",
    "source.denoising_strength": "denoising_strength",
    "source.mask.blur": "mask_blur",
    "source.mask.padding": "inpaint_full_res_padding",
    "hires.scale": "hr_scale",
    "hires.width": "hr_resize_x",
    "hires.height": "hr_resize_y",
    "hires.steps": "hr_second_pass_steps",
    "hires.denoising_strength": "denoising_strength",
    "hires.prompt": "hr_prompt",
    "hires.negative_prompt": "hr_negative_prompt",
}


def with_infotext(body: B) -> B:
    """Fill in what the body leaves out from the infotext in it."""
    if not body.infotext:
        return body
    found = infotext.parse(body.infotext).to_parameters()
    given = body.model_dump(exclude_unset=True)
    found = {name: value for name, value in found.items() if name in type(body).model_fields}
    settings = {**found.pop("override_settings", {}), **given.pop("override_settings", {})}
    try:
        return type(body).model_validate({**found, **given, "override_settings": settings})
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid("infotext", f"{first['loc'][0] if first['loc'] else ''}: {first['msg']}") from None


def generation(context: Context, body: Generate, options: dict[str, Any]) -> Generation:
    """Build the request, but for its pictures. Raises Invalid or Unsupported naming the field."""
    unsupported.refuse(body)
    settings = {**options, **body.override_settings}
    name = body.sampler_name or body.sampler_index
    sampler, scheduler = names.sampler(name, body.scheduler, body.eta)
    made = Generation(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        width=body.width,
        height=body.height,
        steps=body.steps,
        cfg_scale=body.cfg_scale,
        sampler=sampler,
        scheduler=scheduler,
        seed=_seed(body.seed, "seed"),
        count=_count(context, body),
        model=names.model(context, _text(settings, "sd_model_checkpoint"), NAMES["model"]).name,
        vae=names.vae(_text(settings, "sd_vae")),
        clip_skip=_whole(settings, "CLIP_stop_at_last_layers", 1),
        eta=body.eta,
        variation=_variation(body),
        seed_resize_from=_resize_from(body),
        previews=True,
    )
    if isinstance(body, TextToImage) and body.enable_hr:
        made = _with_hires(made, body)
    return made


def checked(context: Context, made: Generation) -> Generation:
    """Hold it against the limits, under this API's names."""
    return check(made, context.settings.limits, NAMES)


def subseed(body: Generate) -> int:
    """Give the variation seed that is told to the caller, drawn where it was left open."""
    return _seed(body.subseed, "subseed")


def _with_hires(made: Generation, body: TextToImage) -> Generation:
    from webui_image.pictures.upscale import LATENT_MODES, UPSCALERS

    sampler, scheduler = None, None
    if not (unsupported.same(body.hr_sampler_name) and unsupported.same(body.hr_scheduler)):
        name = made.sampler if unsupported.same(body.hr_sampler_name) else str(body.hr_sampler_name)
        kind = made.scheduler if unsupported.same(body.hr_scheduler) else str(body.hr_scheduler)
        sampler, scheduler = names.sampler(name, kind, body.eta, "hr_")
    hires = HiresFix(
        scale=body.hr_scale,
        width=body.hr_resize_x,
        height=body.hr_resize_y,
        steps=body.hr_second_pass_steps,
        upscaler=names.upscaler(body.hr_upscaler or "Latent", [*LATENT_MODES, *UPSCALERS], "hr_upscaler"),
        denoising_strength=_DENOISING_HIRES if body.denoising_strength is None else body.denoising_strength,
        sampler=sampler,
        scheduler=scheduler,
        prompt=body.hr_prompt,
        negative_prompt=body.hr_negative_prompt,
    )
    if body.firstphase_width or body.firstphase_height:
        # The old form: width and height are the result's, and these the first pass's.
        hires = replace(hires, width=made.width, height=made.height)
        made = replace(made, width=body.firstphase_width or made.width, height=body.firstphase_height or made.height)
    return replace(made, hires=hires)


def _seed(seed: int, field: str) -> int:
    if seed < -1:
        raise Invalid(field, f"{str(seed)[:20]} is no seed: take -1, which draws one, or 0 to 4294967295")
    return random_seed() if seed == -1 else seed


def _count(context: Context, body: Generate) -> int:
    most, count = context.settings.limits.pictures, body.batch_size * body.n_iter
    if count > most:
        field = "batch_size" if body.batch_size > most else "n_iter"
        raise Invalid(
            field, f"batch_size x n_iter is {str(count)[:20]}, at most {most} pictures are drawn in one request"
        )
    return count


def _variation(body: Generate) -> Variation | None:
    if body.subseed_strength == 0:
        return None
    return Variation(subseed(body), body.subseed_strength)


def _resize_from(body: Generate) -> tuple[int, int] | None:
    if body.seed_resize_from_w <= 0 or body.seed_resize_from_h <= 0:
        return None
    return body.seed_resize_from_w, body.seed_resize_from_h


def _text(settings: dict[str, Any], name: str) -> str:
    value = settings.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    raise Invalid(f"override_settings.{name}", "has to be text")


def _whole(settings: dict[str, Any], name: str, default: int) -> int:
    value = settings.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise Invalid(f"override_settings.{name}", "has to be a whole number")
    return int(value)
