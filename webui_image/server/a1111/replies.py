"""From finished pictures to A1111's answer: base64 PNGs with their parameters inside, and `info`, JSON as a string.

`index_of_first_image` is 0, since no grid comes first. `job_timestamp` and the other names are those that clients
read.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from webui_image.pictures import encode
from webui_image.prompts import infotext
from webui_image.server.results import Collected, in_pool

if TYPE_CHECKING:
    from webui_image.server.a1111.schemas import Generate
    from webui_image.server.context import Context
    from webui_image.values.events import PictureDone


async def reply(context: Context, body: Generate, collected: Collected, subseed: int) -> dict[str, Any]:
    """Give the answer of txt2img or img2img."""
    texts = [_text(collected, picture) for picture in collected.pictures]
    images: list[str] = []
    if body.send_images:
        pictures = zip(collected.pictures, texts, strict=True)
        work = [in_pool(context, encode.base64_png, picture.image, text) for picture, text in pictures]
        images = list(await asyncio.gather(*work))
    return {
        "images": images,
        "parameters": body.model_dump(),
        "info": json.dumps(info(body, collected, texts, subseed), ensure_ascii=False),
    }


def info(body: Generate, collected: Collected, texts: list[str], subseed: int) -> dict[str, Any]:
    """Give what A1111 tells of the pictures, under its names."""
    made, finished = collected.finished.generation, collected.finished
    count = len(collected.pictures)
    seeds = [picture.seed for picture in collected.pictures]
    subseeds = [
        subseed + picture.index if picture.variation_seed is None else picture.variation_seed
        for picture in collected.pictures
    ]
    resize_width, resize_height = made.seed_resize_from or (0, 0)
    strength = made.source.denoising_strength if made.source else made.hires and made.hires.denoising_strength
    return {
        "prompt": made.prompt,
        "all_prompts": [made.prompt] * count,
        "negative_prompt": made.negative_prompt,
        "all_negative_prompts": [made.negative_prompt] * count,
        "seed": seeds[0] if seeds else made.seed,
        "all_seeds": seeds,
        "subseed": subseeds[0] if subseeds else subseed,
        "all_subseeds": subseeds,
        "subseed_strength": made.variation.strength if made.variation else 0,
        "width": made.width,
        "height": made.height,
        "sampler_name": made.sampler,
        "cfg_scale": made.cfg_scale,
        "steps": made.steps,
        "batch_size": body.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": finished.model,
        "sd_model_hash": finished.model_hash,
        "sd_vae_name": made.vae or None,
        "sd_vae_hash": None,
        "seed_resize_from_w": resize_width,
        "seed_resize_from_h": resize_height,
        "denoising_strength": strength,
        "extra_generation_params": {"Schedule type": made.scheduler},
        "index_of_first_image": 0,
        "infotexts": texts,
        "styles": [],
        "job_timestamp": collected.running.timestamp,
        "clip_skip": made.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": infotext.this_version(),
        "interrupted": finished.interrupted,
    }


def _text(collected: Collected, picture: PictureDone) -> str:
    finished = collected.finished
    return infotext.write(
        finished.generation,
        index=picture.index,
        model=finished.model,
        model_hash=finished.model_hash,
        seed=picture.seed,
        variation_seed=picture.variation_seed,
        drawn_at=picture.drawn_at,
    )
