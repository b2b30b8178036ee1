"""A1111's script "Prompts from file or textbox": one picture a line, with options as on a command line.

    a photo of a dog
    --prompt "a cat, sleeping" --negative_prompt "blurry" --steps 30 --seed 7 --width 768

A line that does not begin with `--` is a prompt. A line whose options are wrong, which A1111 takes for a prompt, is an
error here.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from typing import Any

from webui_image.values.errors import Invalid, TooLarge, Unsupported

MOST_LINES = 10_000

_WORDS = {"prompt", "negative_prompt"}


def read(text: str, *, field: str = "prompts") -> tuple[dict[str, Any], ...]:
    """Give for each line that is not empty the fields of an API request (`txt2img`), as far as the line says.

    Raises Invalid or Unsupported at `<field>[line N]`, TooLarge beyond MOST_LINES.
    """
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        raise TooLarge(field, f"has {len(lines)} lines; {MOST_LINES} are read at most; split the file")
    return tuple(_line(line.strip(), f"{field}[line {number}]") for number, line in enumerate(lines, 1) if line.strip())


def _line(line: str, field: str) -> dict[str, Any]:
    if not line.startswith("--"):
        return {"prompt": line}
    try:
        words = shlex.split(line)
    except ValueError as problem:
        raise Invalid(field, f"cannot be read ({problem}); put texts with blanks into double quotes") from problem
    found: dict[str, Any] = {}
    position = 0
    while position < len(words):
        name = words[position].removeprefix("--")
        if not words[position].startswith("--"):
            raise Invalid(field, f"{words[position][:40]!r} belongs to no option; put texts into double quotes")
        values = _values(words, position + 1, several=name in _WORDS)
        found[name] = _value(name, values, field)
        position += 1 + len(values)
    model = found.pop("sd_model", None)
    return found if model is None else found | {"override_settings": {"sd_model_checkpoint": model}}


def _values(words: list[str], start: int, *, several: bool) -> list[str]:
    if not several:
        return words[start : start + 1]
    end = start
    while end < len(words) and not words[end].startswith("--"):
        end += 1
    return words[start:end]


def _value(name: str, values: list[str], field: str) -> Any:
    if name.startswith("outpath_"):
        raise Unsupported(field, f"--{name} is not supported: no path of a user is written to; remove it")
    convert = _OPTIONS.get(name)
    if convert is None:
        raise Invalid(field, f"--{name[:40]} is not an option; there are {', '.join(sorted(_OPTIONS))}")
    if not values:
        raise Invalid(field, f"--{name} has no value; write one after it")
    try:
        return convert(" ".join(values))
    except ValueError:
        raise Invalid(field, f"--{name} {values[0][:40]!r} is not what belongs there; {_EXPECTED[convert]}") from None


def _real(value: str) -> float:
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(value)
    return found


def _switch(value: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
    except KeyError:
        raise ValueError(value) from None


def _styles(value: str) -> list[str]:
    return [style.strip() for style in value.split(",") if style.strip()]


_EXPECTED: dict[Callable[[str], Any], str] = {
    int: "write a whole number",
    _real: "write a number",
    _switch: "write true or false",
}
_OPTIONS: dict[str, Callable[[str], Any]] = {
    "prompt": str,
    "negative_prompt": str,
    "styles": _styles,
    "sd_model": str,
    "sampler_name": str,
    "scheduler": str,
    "seed": int,
    "subseed": int,
    "subseed_strength": _real,
    "seed_resize_from_h": int,
    "seed_resize_from_w": int,
    "batch_size": int,
    "n_iter": int,
    "steps": int,
    "cfg_scale": _real,
    "width": int,
    "height": int,
    "restore_faces": _switch,
    "tiling": _switch,
    "do_not_save_samples": _switch,
    "do_not_save_grid": _switch,
}
