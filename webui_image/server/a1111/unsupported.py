"""What A1111 can do and this server cannot: accepted with its neutral value, refused by name with any other.

Clients send every field they know, mostly with the value that does nothing. Dropping a value that means something
would give a picture that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from webui_image.values.errors import Unsupported

if TYPE_CHECKING:
    from webui_image.server.a1111.schemas import Extras, Generate

_NOTHING = (None, "", "None", "none")
_SAME = (*_NOTHING, "Use same checkpoint", "Use same sampler", "Use same scheduler")

# Field, the test that it means nothing, and what its meaning would be.
_FIELDS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("styles", lambda value: not value, "styles are not kept here: write them into the prompt"),
    ("restore_faces", lambda value: not value, "faces cannot be restored here"),
    ("tiling", lambda value: not value, "tiling pictures cannot be made here"),
    ("refiner_checkpoint", lambda value: value in _NOTHING, "a second model cannot refine here"),
    ("disable_extra_networks", lambda value: not value, "leave the LoRA tags out of the prompt instead"),
    ("script_name", lambda value: value in _NOTHING, "scripts cannot be run here"),
    ("s_min_uncond", lambda value: value == 0, "only 0 is supported"),
    ("s_churn", lambda value: value == 0, "only 0 is supported"),
    ("s_noise", lambda value: value == 1, "only 1 is supported"),
    ("mask_round", lambda value: value is True, "soft inpainting is not supported"),
    ("initial_noise_multiplier", lambda value: value in (None, 1), "only 1 is supported"),
    ("latent_mask", lambda value: value in _NOTHING, "send it as mask"),
    ("gfpgan_visibility", lambda value: value == 0, "faces cannot be restored here"),
    ("codeformer_visibility", lambda value: value == 0, "faces cannot be restored here"),
)

# Settings that change pictures, with the values that change nothing; what is not named here is not about pictures.
_SETTINGS: dict[str, tuple[Any, ...]] = {
    "CLIP_stop_at_last_layers": (),  # read in `requests.py`, as are the next two
    "sd_model_checkpoint": (),
    "sd_vae": (),
    "emphasis": ("Original",),
    "enable_emphasis": (True,),
    "eta_noise_seed_delta": (0,),
    "face_restoration": (False,),
    "img2img_color_correction": (False,),
    "img2img_fix_steps": (False,),
    "initial_noise_multiplier": (1,),
    "inpainting_mask_weight": (1,),
    "randn_source": ("CPU",),
    "return_grid": (False, True),  # none is made of fewer pictures than two, and of more it can be made by the client
    "s_churn": (0,),
    "s_min_uncond": (0,),
    "s_noise": (1,),
    "samples_format": ("png",),
    "sd_checkpoint_hash": (),
    "sd_hypernetwork": (None, "", "None"),
    "sdxl_crop_left": (0,),
    "sdxl_crop_top": (0,),
    "token_merging_ratio": (0,),
    "token_merging_ratio_hr": (0,),
    "use_old_emphasis_implementation": (False,),
    "use_old_hires_fix_width_height": (False,),
    "use_old_karras_scheduler_sigmas": (False,),
}


def refuse(body: Generate | Extras) -> None:
    """Raise Unsupported at the first field that means something which this server cannot do."""
    for name, neutral, why in _FIELDS:
        if hasattr(body, name) and not neutral(getattr(body, name)):
            raise Unsupported(name, f"not supported: {why}")
    for name, entry in getattr(body, "alwayson_scripts", {}).items():
        if not _idle(entry):
            raise Unsupported("alwayson_scripts", f"not supported: there is no script {name[:60]!r} here")
    if getattr(body, "enable_hr", False) and getattr(body, "hr_checkpoint_name", None) not in _SAME:
        raise Unsupported("hr_checkpoint_name", "not supported: the second pass uses the same model")
    refuse_settings(getattr(body, "override_settings", {}), "override_settings.")


def refuse_settings(settings: dict[str, Any], prefix: str) -> None:
    """Raise Unsupported at a setting that would change pictures in a way that this server cannot."""
    for name, value in settings.items():
        neutral = _SETTINGS.get(name, ())
        if neutral and value is not None and value not in neutral:
            raise Unsupported(f"{prefix}{name}", f"not supported: only {neutral[0]!r} is")


def same(name: str | None) -> bool:
    """Tell whether the name of a second pass means "as in the first"."""
    return name in _SAME


def _idle(entry: Any) -> bool:
    arguments = entry.get("args") if isinstance(entry, dict) else entry
    if isinstance(arguments, dict):
        arguments = [arguments]
    if not arguments:
        return True
    first = arguments[0] if isinstance(arguments, list) else arguments
    return first is False or (isinstance(first, dict) and first.get("enabled") is False and len(arguments) == 1)
