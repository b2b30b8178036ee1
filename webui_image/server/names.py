"""From the names that users write to the ones that the engine lists: models, samplers, upscalers.

Old and alternative spellings are understood ("DPM++ 2M Karras", "k_euler", a model's title, file name or hash); a name
that is nobody's is refused together with those that exist, never replaced by a default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from webui_image.values.errors import Invalid, NotReady

if TYPE_CHECKING:
    from webui_image.server.context import Context
    from webui_image.values.ports import ModelInfo

_SHOWN = 12
_LONGEST = 80
_NO_VAE = frozenset({"", "automatic", "none"})


def model(context: Context, text: str | None, field: str) -> ModelInfo:
    """Give the model of that name, title or hash; the default for an empty text. Raises Invalid, or NotReady."""
    models = context.engine.models()
    if not models:
        raise NotReady("no model is loaded yet", retry_after=2)
    wanted = (text or "").strip().lower()
    if not wanted:
        return models[0]
    for each in models:
        if wanted in {each.name.lower(), each.title.lower(), each.sha256.lower(), each.sha256[:10].lower()} - {""}:
            return each
    # A1111's titles end in the hash, its file names in the suffix; clients keep either.
    plain = wanted.split(" [")[0].removesuffix(".safetensors").removesuffix(".ckpt")
    for each in models:
        if plain == each.name.lower():
            return each
    raise unknown(field, text or "", [each.title for each in models])


def vae(text: str | None) -> str:
    """Give the VAE's name; empty for the model's own."""
    name = (text or "").strip()
    return "" if name.lower() in _NO_VAE else name


def sampler(name: str, scheduler: str | None, eta: float | None, prefix: str = "") -> tuple[str, str]:
    """Give sampler and schedule type under the names that the engine lists.

    Raises Invalid naming `sampler_name`, `scheduler` or `eta`, with `prefix` before it.
    """
    from webui_image.engine.samplers import AUTOMATIC, resolve

    try:
        resolve(name, scheduler or AUTOMATIC, eta)
        choice = resolve(name, scheduler or AUTOMATIC)
    except Invalid as error:
        raise type(error)(f"{prefix}{error.field}", error.message) from None
    return choice.sampler, choice.schedule


def upscaler(name: str, offered: Sequence[str], field: str) -> str:
    """Give the upscaler's name as it is listed. Raises Invalid."""
    for each in offered:
        if each.lower() == name.strip().lower():
            return each
    raise unknown(field, name, offered)


def unknown(field: str, text: str, offered: Sequence[str]) -> Invalid:
    """Make the refusal of a name, with what could have been meant."""
    shown = ", ".join(offered[:_SHOWN]) + (", ..." if len(offered) > _SHOWN else "")
    return Invalid(field, f"there is no {text[:_LONGEST]!r} here: take one of {shown}")
