"""The listings: what can be asked for by name. No path of the server is in any of them.

Lists of what this server does not have (hypernetworks, face restorers, scripts, ...) are empty, as a fresh A1111's
are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from webui_image.server.memory import system_memory

if TYPE_CHECKING:
    from webui_image.server.context import Context

_EMPTY = (
    "hypernetworks",
    "face-restorers",
    "realesrgan-models",
    "prompt-styles",
    "script-info",
    "extensions",
    "sd-vae",
    "sd-modules",
)


def router(context: Context) -> APIRouter:
    """Give the routes."""
    routes = APIRouter(prefix="/sdapi/v1", tags=["listings"])
    _models(routes, context)
    _methods(routes)
    for name in _EMPTY:
        routes.add_api_route(f"/{name}", _nothing, methods=["GET"], operation_id=f"list_{name.replace('-', '_')}")

    @routes.get("/scripts")
    async def scripts() -> dict[str, list[str]]:
        """List the scripts: none."""
        return {"txt2img": [], "img2img": []}

    @routes.get("/cmd-flags")
    async def cmd_flags() -> dict[str, Any]:
        """Give the launch options: none, since A1111's hold passwords."""
        return {}

    @routes.get("/memory")
    async def memory() -> dict[str, Any]:
        """Give the memory in use, in bytes."""
        return {"ram": system_memory(), "cuda": _device_memory(context)}

    return routes


def _models(routes: APIRouter, context: Context) -> None:
    @routes.get("/sd-models")
    async def sd_models() -> list[dict[str, Any]]:
        """List the models, the default first."""
        return [
            {
                "title": model.title,
                "model_name": model.name,
                "hash": model.sha256[:10] or None,
                "sha256": model.sha256 or None,
                "filename": model.name,
                "config": None,
            }
            for model in context.engine.models()
        ]

    @routes.get("/loras")
    async def loras() -> list[dict[str, Any]]:
        """List the LoRAs."""
        return [{"name": lora.name, "alias": lora.name, "path": "", "metadata": {}} for lora in context.engine.loras()]

    @routes.get("/embeddings")
    async def embeddings() -> dict[str, Any]:
        """List the embeddings."""
        fields = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 0, "vectors": 0}
        return {"loaded": {each.name: fields for each in context.engine.embeddings()}, "skipped": {}}


def _methods(routes: APIRouter) -> None:
    @routes.get("/samplers")
    async def samplers() -> list[dict[str, Any]]:
        """List the samplers."""
        from webui_image.engine.samplers import SAMPLERS

        return [{"name": each.name, "aliases": list(each.aliases), "options": {}} for each in SAMPLERS]

    @routes.get("/schedulers")
    async def schedulers() -> list[dict[str, Any]]:
        """List the schedule types."""
        from webui_image.engine.samplers import SCHEDULERS

        return [
            {
                "name": each.name,
                "label": each.label,
                "aliases": list(each.aliases),
                "default_rho": -1.0,
                "need_inner_model": False,
            }
            for each in SCHEDULERS
        ]

    @routes.get("/upscalers")
    async def upscalers() -> list[dict[str, Any]]:
        """List the upscalers."""
        from webui_image.pictures.upscale import UPSCALERS

        return [
            {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4} for name in UPSCALERS
        ]

    @routes.get("/latent-upscale-modes")
    async def latent_upscale_modes() -> list[dict[str, str]]:
        """List the ways to enlarge between the two passes of hires fix."""
        from webui_image.pictures.upscale import LATENT_MODES

        return [{"name": name} for name in LATENT_MODES]


async def _nothing() -> list[Any]:
    """List what this server does not have: nothing."""
    return []


def _device_memory(context: Context) -> dict[str, Any]:
    memory = context.metrics.device_memory
    if memory is None:
        return {"error": "unavailable"}
    used, total = memory
    return {"system": {"free": total - used, "used": used, "total": total}}
