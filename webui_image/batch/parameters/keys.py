"""Every key of a picture, in one table: what it may be, what it means, and under which other names A1111 knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from webui_image.batch.parameters.groups import Loras, Nested
from webui_image.batch.parameters.kinds import Choice, Flag, Kind, Name, Number, Path, Size, Text, Whole
from webui_image.batch.parameters.limits import (
    LARGEST_CFG,
    LARGEST_SEED,
    LARGEST_SIDE,
    LONGEST_PROMPT,
    MOST_PICTURES,
    MOST_STEPS,
    SIDE_STEP,
    SMALLEST_SIDE,
)
from webui_image.batch.parameters.problems import near
from webui_image.values.generation import MaskFill, ResizeMode


@dataclass(frozen=True, slots=True)
class Key:
    """One key."""

    name: str
    kind: Kind
    about: str
    aliases: tuple[str, ...] = ()


_SIDE = Whole(SMALLEST_SIDE, LARGEST_SIDE, SIDE_STEP)
_PROMPT = Text(LONGEST_PROMPT)
_OPEN_SEED = Whole(-1, LARGEST_SEED)
_UP_TO_ONE = Number(0, 1)

HIRES: Final[dict[str, Kind]] = {
    "scale": Number(1, 8),
    "width": Whole(0, LARGEST_SIDE, SIDE_STEP),
    "height": Whole(0, LARGEST_SIDE, SIDE_STEP),
    "steps": Whole(0, MOST_STEPS),
    "upscaler": Name("upscalers"),
    "denoising_strength": _UP_TO_ONE,
    "sampler": Name(),
    "scheduler": Name(),
    "prompt": _PROMPT,
    "negative_prompt": _PROMPT,
}

KEYS: Final = (
    Key("prompt", _PROMPT, "What is to be drawn, in A1111's syntax."),
    Key("negative_prompt", _PROMPT, "What is not to be drawn.", ("negative",)),
    Key("seed", _OPEN_SEED, "Seed of the first picture; -1 or none: derived from the prompt, the same in each run."),
    Key("count", Whole(1, MOST_PICTURES), "Pictures of this entry, with seeds seed, seed + 1, ..."),
    Key("width", _SIDE, "Width in pixels, a multiple of 8."),
    Key("height", _SIDE, "Height in pixels, a multiple of 8."),
    Key("size", Size(), "Width and height in one, as 640x384."),
    Key("steps", Whole(1, MOST_STEPS), "Sampling steps.", ("num_inference_steps",)),
    Key("sampler", Name(), "Sampler under A1111's name.", ("sampler_name", "sampler_index")),
    Key("scheduler", Name(), "Schedule type under A1111's name.", ("schedule_type",)),
    Key("cfg_scale", Number(0, LARGEST_CFG), "How strictly the prompt is followed.", ("cfg", "guidance_scale")),
    Key("model", Name(), "A model by its listed name, title or hash.", ("sd_model_checkpoint", "checkpoint")),
    Key(
        "clip_skip",
        Whole(1, 12),
        "Last layers of the text encoder to leave out, plus one.",
        ("CLIP_stop_at_last_layers",),
    ),
    Key("eta", _UP_TO_ONE, "Noise of the samplers that take it."),
    Key("guidance_rescale", _UP_TO_ONE, "Against burnt colours at a high cfg_scale; none: what the model recommends."),
    Key("variation_seed", _OPEN_SEED, "The other seed of a variation; -1 or none: derived.", ("subseed",)),
    Key("variation_strength", _UP_TO_ONE, "How far to the other seed: 0 none, 1 all the way.", ("subseed_strength",)),
    Key("seed_resize_from", Size(), "Size that the seed's composition is taken from, as 512x512."),
    Key("loras", Loras(), "LoRAs beside those in the prompt, by listed name.", ("lora",)),
    Key("image", Path(), "Picture to start from: a file below this file's folder.", ("init_image",)),
    Key("denoising_strength", _UP_TO_ONE, "How much of `image` is painted anew.", ("strength",)),
    Key("resize_mode", Choice(ResizeMode), "How `image` is brought to the size."),
    Key("mask", Path(), "White is painted anew: a file below this file's folder."),
    Key("mask_blur", Whole(0, 64), "Softness of the mask's edge in pixels."),
    Key("mask_fill", Choice(MaskFill), "What stands under the mask at first.", ("inpainting_fill",)),
    Key("mask_invert", Flag(), "Black is painted anew instead.", ("inpainting_mask_invert", "invert_mask")),
    Key("only_masked", Flag(), "The masked part alone is drawn, at the full size.", ("inpaint_full_res",)),
    Key("mask_padding", Whole(0, 512), "Pixels around it, with only_masked.", ("inpaint_full_res_padding", "padding")),
    Key("hires", Nested(HIRES), "A second pass over the enlarged picture: true, or its own keys.", ("hires_fix",)),
    Key("exact", Flag(), "Alone, bit for bit as the pipeline by itself."),
)

BY_NAME: Final = {key.name: key for key in KEYS}
ALIASES: Final = {alias: key.name for key in KEYS for alias in key.aliases}
HIRES_ALIASES: Final = {
    "hr_scale": "scale",
    "hr_upscaler": "upscaler",
    "hr_second_pass_steps": "steps",
    "hr_resize_x": "width",
    "hr_resize_y": "height",
    "hr_sampler_name": "sampler",
    "hr_scheduler": "scheduler",
    "hr_prompt": "prompt",
    "hr_negative_prompt": "negative_prompt",
}
COUNTS: Final = ("batch_size", "n_iter")
"""A1111's two counts, multiplied into `count`."""
RESIZE_FROM: Final = ("seed_resize_from_w", "seed_resize_from_h")
OVERRIDES: Final = "override_settings"
"""A1111's mapping of settings for one request; its model and clip skip are taken."""
OVERRIDABLE: Final = ("sd_model_checkpoint", "CLIP_stop_at_last_layers")
ENABLE_HIRES: Final = "enable_hr"
MEANINGLESS: Final = ("save_images", "send_images", "do_not_save_samples", "do_not_save_grid", "include_init_images")
"""A1111's fields that speak of answers and folders; taken and passed over."""
REFUSED: Final = (
    "restore_faces",
    "tiling",
    "styles",
    "script_name",
    "alwayson_scripts",
    "refiner_checkpoint",
    "vae",
    "sd_vae",
)
"""A1111's fields that would change the picture and are not done here; taken only where they ask for nothing."""
SPECIAL: Final = ("matrix", "prompts_file", "infotext")
"""Keys of an entry that are no picture's own."""


def is_known(name: str) -> bool:
    """Tell whether a picture may have this key, under its own or another name."""
    return (
        name in BY_NAME
        or name in ALIASES
        or name in HIRES_ALIASES
        or name in COUNTS
        or name in RESIZE_FROM
        or name in MEANINGLESS
        or name in REFUSED
        or name in {OVERRIDES, ENABLE_HIRES}
    )


def unknown(name: str) -> tuple[str, str]:
    """Give message and remedy for a key that does not exist."""
    other = near(name, (*ALIASES, *HIRES_ALIASES), "take it out, or look into parameters.schema.json for all keys")
    return "unknown key", near(name, (*BY_NAME, *SPECIAL), other)
