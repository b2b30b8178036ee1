"""The way to a cluster's API server that Google keeps: the DNS endpoint, here on the cluster's own port.

Behind the IP endpoint there is nothing but the cluster. At the DNS endpoint Google first asks IAM whether the caller
may come in at all; then the request is the cluster's, which asks its own rules.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.faults import AsgiApp, Receive, Scope, Send

DNS_NAME = "localhost"
# Why a user may not come in by a cluster's DNS endpoint, by the cluster's link and the user; empty when they may.
Refusal: TypeAlias = Callable[[str, str], str]


class DnsDoor:
    """A cluster's application on its port, where requests to the DNS name are asked for Google's permission."""

    def __init__(self, app: AsgiApp, link: str, *, authenticate: Callable[[str], str | None], refusal: Refusal) -> None:
        self._app = app
        self._link = link
        self._authenticate = authenticate
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and (refused := self._refused(dict(scope["headers"]))):
            await _forbid(refused, send)
            return
        await self._app(scope, receive, send)

    def _refused(self, headers: dict[bytes, bytes]) -> str:
        name = headers.get(b"host", b"").partition(b":")[0].decode("latin-1")
        if name != DNS_NAME:
            return ""
        token = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
        user = self._authenticate(token)
        # Whoever is nobody is told so by the cluster.
        return "" if user is None else self._refusal(self._link, user)


async def _forbid(text: str, send: Send) -> None:
    body = orjson.dumps(ApiError(403, "Forbidden", text).status())
    headers: list[Any] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
