"""Tags in angle brackets: `<lora:name:weight>` is taken out of the text, `<hypernet:...>` refused, others are text.

A tag is no part of the picture's description: A1111 takes them out before anything else, so that one inside a schedule
(`[<lora:a:1>::0.5]`) holds for all steps. It is the same here.
"""

from __future__ import annotations

import re

from webui_image.values.errors import Invalid, Unsupported
from webui_image.values.generation import Lora

LARGEST_LORA_WEIGHT = 100.0

_TAG = re.compile(r"<(\w+):([^<>]+)>")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,12}\.?[0-9]{0,12}|\.[0-9]{1,12})")


def take_loras(prompt: str, *, field: str) -> tuple[str, tuple[Lora, ...]]:
    """Give the prompt without its LoRA tags, and the LoRAs; weights of a LoRA that is named twice are added.

    Of separate weights for text encoder and UNet (`<lora:name:0.5:1>`, `<lora:name:te=0.5:unet=1>`) the first is taken.
    A tag whose weight is not a number is text. Raises Unsupported for `<hypernet:...>`, Invalid for absurd weights.
    """
    loras: dict[str, float] = {}

    def replace(match: re.Match[str]) -> str:
        kind, arguments = match.group(1), match.group(2)
        if kind == "hypernet":
            raise Unsupported(field, f"{match.group(0)[:60]}: hypernetworks are not supported; remove the tag")
        lora = _lora(arguments) if kind == "lora" else None
        if lora is None:
            return match.group(0)
        loras[lora.name] = loras.get(lora.name, 0.0) + lora.weight
        return ""

    rest = _TAG.sub(replace, prompt)
    for name, weight in loras.items():
        if abs(weight) > LARGEST_LORA_WEIGHT:
            raise Invalid(field, f"<lora:{name[:40]}>: weight {weight:g} is beyond {LARGEST_LORA_WEIGHT:g}; lower it")
    return rest, tuple(Lora(name, weight) for name, weight in loras.items())


def _lora(arguments: str) -> Lora | None:
    name, *weights = (part.strip() for part in arguments.split(":"))
    if not name:
        return None
    if not weights:
        return Lora(name)
    first = weights[0].partition("=")[2] if "=" in weights[0] else weights[0]
    return Lora(name, float(first)) if _NUMBER.fullmatch(first) else None
