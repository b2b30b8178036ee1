"""AUTOMATIC1111's API, as its clients use it: same paths, same names, same conventions.

Written from its documented behaviour. What it can do and this server cannot is refused by name, never dropped: a
client that gets a picture gets the one it asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webui_image.server.a1111 import extras, generation, leftout, listings, options, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter

    from webui_image.server.context import Context


def routes(context: Context) -> Sequence[APIRouter]:
    """Give all routers of the API."""
    return (
        generation.router(context),
        extras.router(context),
        progress.router(context),
        options.router(context),
        listings.router(context),
        leftout.router(),
    )
