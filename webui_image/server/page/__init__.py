"""The page: one document that any replica serves, and that keeps everything about its user in the user's browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from webui_image.server.page.assemble import page

if TYPE_CHECKING:
    from webui_image.server.context import Context


def router(_context: Context) -> APIRouter:
    """Give the route of the document."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def document(request: Request) -> Response:
        """Give the page, packed where the browser takes that."""
        made = page()
        headers = {
            "Content-Security-Policy": made.policy,
            "ETag": made.etag,
            "Cache-Control": "no-cache",  # replicas of two versions may stand behind one address
            "Vary": "Accept-Encoding",
        }
        if request.headers.get("if-none-match") == made.etag:
            return Response(status_code=304, headers=headers)
        packed = "gzip" in request.headers.get("accept-encoding", "")
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(made.gzipped if packed else made.html, headers=headers, media_type="text/html")

    return routes
