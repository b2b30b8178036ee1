"""The text that A1111 puts into its pictures, so that a picture tells how it was made.

    PROMPT (may span lines)
    Negative prompt: NEGATIVE (may span lines; left out when empty)
    Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 123, Size: 512x512, ...

This format cannot carry everything: blanks at the ends of lines are lost, and a prompt with a line that begins with
`Negative prompt:` is cut there. The first loss means nothing to a picture. Against the second, the pairs
`Exact prompt` and `Exact negative prompt` are written where needed, and only there; other readers pass over them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from typing import Any

from webui_image.prompts import pairs
from webui_image.prompts.described import EXACT, EXACT_NEGATIVE, described
from webui_image.prompts.parameters import to_parameters
from webui_image.values.errors import TooLarge
from webui_image.values.generation import Generation

LONGEST_TEXT = 200_000

_NEGATIVE = "Negative prompt:"
_FEWEST_PAIRS = 3  # below it A1111 takes the last line for a line of the prompt


@dataclass(frozen=True, slots=True)
class Infotext:
    """What a picture's text says; `fields` are the pairs of its last line, under A1111's names, as text."""

    prompt: str
    negative_prompt: str = ""
    fields: dict[str, str] = field(default_factory=dict, hash=False)

    def as_fields(self) -> dict[str, str]:
        """Give all as A1111's `png-info` answers it: the prompts among the pairs, `Size` also as its two numbers."""
        found = {"Prompt": self.prompt, "Negative prompt": self.negative_prompt}
        for key, value in self.fields.items():
            found[key] = value
            width, cross, height = value.partition("x")
            if cross and width.isdecimal() and height.isdecimal():
                found |= {f"{key}-1": width, f"{key}-2": height}
        return found

    def to_parameters(self) -> dict[str, Any]:
        """Give the fields of an API request (`txt2img`) that asks for this picture; see `parameters`.

        Raises Invalid, at `infotext.<field>`, where a number is none.
        """
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            **to_parameters(self.fields),
        }


def write(
    generation: Generation,
    *,
    index: int = 0,
    model: str = "",
    model_hash: str = "",
    seed: int | None = None,
    variation_seed: int | None = None,
    lora_hashes: Mapping[str, str] | None = None,
    vae_hash: str = "",
    drawn_at: tuple[int, int] | None = None,
    version: str | None = None,
) -> str:
    """Give the text for picture `index` of a request. Seeds that are not given follow from the index, as A1111's do.

    `drawn_at` is width and height where the model draws smaller than asked and the picture was enlarged.

    LoRAs beside the prompt are written into it as tags, which is the only place where A1111 looks for them.
    """
    tags = " ".join(f"<lora:{lora.name}:{lora.weight:g}>" for lora in generation.loras)
    prompt = tidy(f"{generation.prompt} {tags}")
    negative = tidy(generation.negative_prompt)
    fields = described(
        generation,
        index=index,
        model=model or generation.model,
        model_hash=model_hash,
        seed=seed,
        variation_seed=variation_seed,
        lora_hashes=lora_hashes or {},
        vae_hash=vae_hash,
    )
    if drawn_at is not None:
        fields["Drawn at"] = f"{drawn_at[0]}x{drawn_at[1]}"
    fields["Version"] = this_version() if version is None else version
    text = _joined(prompt, negative, fields)
    read = parse(text)
    if (read.prompt, read.negative_prompt) != (prompt, negative):
        text = _joined(prompt, negative, fields | {EXACT: prompt, EXACT_NEGATIVE: negative})
    return text


def parse(text: str) -> Infotext:
    """Read the text of a picture; text without parameters is a prompt. Raises TooLarge beyond LONGEST_TEXT."""
    if len(text) > LONGEST_TEXT:
        raise TooLarge("infotext", f"has {len(text)} characters; {LONGEST_TEXT} are read at most")
    lines = text.strip().split("\n")
    found = pairs.read(lines[-1])
    if len(found) < _FEWEST_PAIRS:
        found = []
    else:
        del lines[-1]
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in map(str.strip, lines):
        if line.startswith(_NEGATIVE):
            current = negative
            current.append(line.removeprefix(_NEGATIVE).strip())
        else:
            current.append(line)
    fields = dict(found)
    exact, exact_negative = fields.pop(EXACT, None), fields.pop(EXACT_NEGATIVE, None)
    if exact is None and exact_negative is None:
        return Infotext("\n".join(prompt).strip(), "\n".join(negative).strip(), fields)
    return Infotext(exact or "", exact_negative or "", fields)


def tidy(prompt: str) -> str:
    """Give a prompt as the format can carry it: without white space at the ends of its lines."""
    return "\n".join(map(str.strip, prompt.split("\n"))).strip()


@lru_cache(maxsize=1)
def this_version() -> str:
    """Give this program's name and version; empty where it runs without having been installed."""
    try:
        return f"GPU Hunter {metadata.version('gpu-hunter')}"
    except metadata.PackageNotFoundError:
        return ""


def _joined(prompt: str, negative: str, fields: Mapping[str, str]) -> str:
    lines = [prompt, f"{_NEGATIVE} {negative}"] if negative else [prompt]
    return "\n".join([*lines, pairs.write(fields.items())]).strip()
