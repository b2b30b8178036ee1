"""Who may: authentication of every request, and protection of a signed-in browser from foreign pages.

Three ways, side by side: API keys (as Bearer, or as the password of HTTP basic, the only way that A1111's clients
know), a user with a password (HTTP basic), and the signed header of Google's Identity-Aware Proxy. Only probes are
open. Secrets are compared by their hashes, all of them and in constant time, and are never logged.

A browser sends a user's basic credentials, or passes the proxy's cookie, on behalf of any page, so a request that
changes something must come from this origin. A server on loopback without authentication answers to loopback names
alone, or a foreign page could reach it through a name of its own that resolves to 127.0.0.1.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from webui_image.server.envelope import path_of
from webui_image.server.iap import IAP_HEADER, IapVerifier
from webui_image.server.problems import Forbidden, Unauthorised, problem
from webui_image.values.errors import WebUIError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from webui_image.server.context import Context
    from webui_image.server.settings import Access, Key, Settings

# What a kubelet or a load balancer asks without credentials. They tell no setting.
OPEN = frozenset({"/livez", "/readyz", "/startupz", "/healthz", "/internal/ping"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class UnsafeError(WebUIError):
    """The server would be open to everybody without anyone having said so."""


def refuse_unsafe(settings: Settings) -> None:
    """Raise UnsafeError where others could use the server without authentication and nobody has named that."""
    if settings.loopback or settings.access.authenticates or settings.access.anonymous:
        return
    raise UnsafeError(
        f"HOST: {settings.host} can be reached from elsewhere and nobody would have to sign in: set API_KEYS, "
        "BASIC_AUTH or IAP_AUDIENCE, or say ALLOW_ANONYMOUS=1 (--allow-anonymous) where others keep strangers out"
    )


class Security:
    """Lets through who may, and notes who it is in `scope["state"]`."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context
        self._settings = context.settings
        self._iap = IapVerifier(self._settings.access, context.clock) if self._settings.access.iap_audience else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return  # there is none; not accepting it closes it
        if scope["type"] == "http":
            try:
                await self._admit(scope)
            except WebUIError as error:
                found = problem(error)
                if Headers(scope=scope).get("sec-fetch-dest") == "empty":
                    # A script's fetch: the page asks for the key itself, without the browser's own dialog before it.
                    found.headers.pop("WWW-Authenticate", None)
                await JSONResponse(found.body, found.status, found.headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        headers, access, path = Headers(scope=scope), self._settings.access, path_of(scope)
        state = scope.setdefault("state", {})
        if access.authenticates and not is_open(path, access):
            user = self.by_authorization(headers.get("authorization", ""))
            if user is None and self._iap is not None:
                user = await self._iap.user(headers.get(IAP_HEADER, ""))
            if user is None:
                raise Unauthorised("sign in: send an API key as Bearer or as the password of HTTP basic")
            state["user"] = user
        state["caller"] = self._context.callers.of(HTTPConnection(scope))
        self._check_host(headers, path)
        if scope["method"] not in _SAFE and not headers.get("authorization", "").lower().startswith("bearer "):
            check_origin(headers, self._settings.allowed_origins)

    def by_authorization(self, header: str) -> str | None:
        """Give the user whose key or password the header carries, or None."""
        scheme, _, value = header.partition(" ")
        access = self._settings.access
        if scheme.lower() == "bearer":
            return _holder(access.api_keys, value.strip())
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return None
        users = tuple(key for key in access.passwords if compare_digest(key.name.encode(), name.encode()))
        return _holder(users, password) or _holder(access.api_keys, password)

    def _check_host(self, headers: Headers, path: str) -> None:
        settings = self._settings
        if settings.host not in _LOOPBACK_NAMES or settings.access.authenticates or path in OPEN:
            return
        name = urlsplit(f"//{headers.get('host', '')}").hostname
        if name not in _LOOPBACK_NAMES and not settings.trusted_proxies:
            raise Forbidden("this server answers to localhost alone: use that name, or set up authentication")


def is_open(path: str, access: Access) -> bool:
    """Tell whether anybody may ask for this path."""
    return path in OPEN or (path == "/metrics" and access.metrics_open)


def check_origin(headers: Headers, allowed: tuple[str, ...] = ()) -> None:
    """Raise Forbidden where a browser sends the request on behalf of a page of another, not allowed site."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin in allowed and origin is not None:
        return
    if site is not None:
        foreign = site not in {"same-origin", "none"}
    else:
        foreign = origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    if foreign:
        raise Forbidden("sent by a page of another site")


def hashed(secret: str) -> str:
    """Give what is kept of a secret."""
    return sha256(secret.encode()).hexdigest()


def _holder(keys: tuple[Key, ...], secret: str) -> str | None:
    found, digest = None, hashed(secret)
    for key in keys:  # all of them: the time taken tells nothing of which one fits
        if compare_digest(key.sha256.encode(), digest.encode()):
            found = key.name
    return found
