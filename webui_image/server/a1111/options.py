"""options: the caller's own defaults, of which three are kept; nobody changes anything for others.

Clients read all options, change one and send all of them back. So every name that is reported may come back with the
value it was reported with, the three are kept for this caller, and another value of a fourth is refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request

from webui_image.server import names
from webui_image.server.a1111.unsupported import refuse_settings
from webui_image.values.errors import Invalid

if TYPE_CHECKING:
    from webui_image.server.context import Context

_FIXED: dict[str, Any] = {
    "samples_save": False,
    "samples_format": "png",
    "grid_save": False,
    "return_grid": False,
    "enable_pnginfo": True,
    "eta_noise_seed_delta": 0,
    "randn_source": "CPU",
    "emphasis": "Original",
    "live_previews_enable": True,
    "show_progress_every_n_steps": 1,
}
_CHECKPOINT, _VAE, _CLIP = "sd_model_checkpoint", "sd_vae", "CLIP_stop_at_last_layers"
_LAST_CLIP = 12


def router(context: Context) -> APIRouter:
    """Give the routes."""
    routes = APIRouter(tags=["options"])

    @routes.get("/sdapi/v1/options")
    async def get_options(request: Request) -> dict[str, Any]:
        """Give the caller's options."""
        return _options(context, context.callers.options(context.callers.of(request)))

    @routes.post("/sdapi/v1/options")
    async def set_options(request: Request, options: dict[str, Any]) -> None:
        """Set the caller's options; those not named stay."""
        caller = context.callers.of(request)
        kept = context.callers.options(caller)
        reported = _options(context, kept)
        refuse_settings({name: value for name, value in options.items() if value != reported.get(name)}, "")
        if options.get(_CHECKPOINT) is not None:
            kept[_CHECKPOINT] = names.model(context, str(options[_CHECKPOINT]), _CHECKPOINT).title
        if options.get(_VAE) is not None:
            kept[_VAE] = names.vae(str(options[_VAE])[:200]) or "Automatic"
        if options.get(_CLIP) is not None:
            kept[_CLIP] = _clip(options[_CLIP])
        context.callers.set_options(caller, kept)

    return routes


def _options(context: Context, kept: dict[str, Any]) -> dict[str, Any]:
    models = context.engine.models()
    title = kept.get(_CHECKPOINT) or (models[0].title if models else "")
    sha256 = next((model.sha256 for model in models if model.title == title), "")
    return {
        _CHECKPOINT: title,
        "sd_checkpoint_hash": sha256,
        _VAE: kept.get(_VAE, "Automatic"),
        _CLIP: kept.get(_CLIP, 1),
        **_FIXED,
    }


def _clip(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise Invalid(_CLIP, "has to be a whole number")
    if not 1 <= value <= _LAST_CLIP:
        raise Invalid(_CLIP, f"{value:g} is not from 1 to {_LAST_CLIP}")
    return int(value)
