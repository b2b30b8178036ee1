"""What of A1111's API does nothing here, or is left out on purpose.

Nothing has to be refreshed or reloaded, so those calls succeed. Training, captioning and ending the server for
everybody are not offered; they answer 501 and say so, so that nobody looks for the mistake in the path.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from webui_image.server.problems import NotOffered

_DONE = (
    "refresh-checkpoints",
    "refresh-loras",
    "refresh-vae",
    "refresh-embeddings",
    "unload-checkpoint",
    "reload-checkpoint",
)
_LEFT_OUT = (
    "interrogate",
    "create/embedding",
    "create/hypernetwork",
    "train/embedding",
    "train/hypernetwork",
    "preprocess",
    "server-kill",
    "server-restart",
    "server-stop",
)


def router() -> APIRouter:
    """Give the routes."""
    routes = APIRouter(prefix="/sdapi/v1", tags=["left out"])
    for name in _DONE:
        routes.add_api_route(f"/{name}", _done, methods=["POST"], operation_id=name.replace("-", "_"))
    for name in _LEFT_OUT:
        routes.add_api_route(
            f"/{name}",
            _refusal(name),
            methods=["POST"],
            operation_id=name.replace("-", "_").replace("/", "_"),
            responses={501: {"description": "Not offered"}},
        )
    return routes


async def _done() -> None:
    """Do nothing: the listings are always fresh, and which models are in memory is the engine's business."""


def _refusal(name: str) -> Any:
    async def refuse() -> None:
        """Refuse: not offered here."""
        raise NotOffered(f"{name} is not offered by this server")

    return refuse
