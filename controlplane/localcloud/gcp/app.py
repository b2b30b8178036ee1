"""The REST front of all APIs and the OAuth token endpoint, as one ASGI application on one port."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controlplane.localcloud.faults import AsgiApp
from controlplane.localcloud.gcp.admin.api import Administration
from controlplane.localcloud.gcp.callers import ANONYMOUS, caller
from controlplane.localcloud.gcp.connectgateway import PATH
from controlplane.localcloud.gcp.errors import GoogleError, unauthenticated
from controlplane.localcloud.gcp.rpc import json_response
from controlplane.localcloud.gcp.storage.http import PATHS
from controlplane.localcloud.gcp.tokens import GRANT_TYPE, TokenError, TokenIssuer

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
_VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def build_app(
    tokens: TokenIssuer,
    rpc: Endpoint,
    compute: Endpoint,
    administration: Administration,
    *,
    gateway: AsgiApp,
    changed: Callable[[], None] = lambda: None,
) -> Starlette:
    """Put the endpoints together. gateway: the Connect gateway; changed: called when something may have changed."""

    async def by_path(request: Request) -> Response:
        return await (administration.rest if administration.takes(request) else rpc)(request)

    def guarded(endpoint: Endpoint) -> Endpoint:
        return _guarded(tokens, endpoint, changed)

    return Starlette(
        routes=[
            Route(PATH, gateway, methods=_VERBS),
            Route("/token", _token(tokens), methods=["POST"]),
            Route("/compute/v1/{path:path}", guarded(compute), methods=_VERBS),
            *_storage(tokens, administration, changed),
            *(
                Route(f"/{version}/{{path:path}}", guarded(by_path), methods=_VERBS)
                for version in ("v1", "v1beta2", "v2", "v3")
            ),
        ]
    )


def build_storage_app(
    tokens: TokenIssuer, administration: Administration, changed: Callable[[], None] = lambda: None
) -> Starlette:
    """Give Cloud Storage and the token endpoint by themselves, for clients that know it as an emulator, without TLS."""
    token = Route("/token", _token(tokens), methods=["POST"])
    return Starlette(routes=[token, *_storage(tokens, administration, changed)])


def _storage(tokens: TokenIssuer, administration: Administration, changed: Callable[[], None]) -> list[Route]:
    endpoint = _guarded(tokens, administration.storage.rest, changed, anonymous=True)
    return [Route(path, endpoint, methods=_VERBS) for path in PATHS]


def _guarded(
    tokens: TokenIssuer, endpoint: Endpoint, changed: Callable[[], None], *, anonymous: bool = False
) -> Endpoint:
    """Ask for a token before a call is answered. anonymous: who shows none is answered too, as nobody in particular."""

    async def call(request: Request) -> Response:
        try:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            user = tokens.authenticate(token) if scheme.lower() == "bearer" else None
            if user is None and anonymous and not scheme:
                user = ANONYMOUS
            if user is None:
                raise unauthenticated()
            caller.set(user)
            done = await endpoint(request)
        except GoogleError as error:
            answer = json_response(error.envelope(), error.http_code)
            if error.http_code == 401:
                answer.headers["www-authenticate"] = 'Bearer realm="https://accounts.google.com/"'
            return answer
        if request.method != "GET":
            changed()
        return done

    return call


def _token(tokens: TokenIssuer) -> Endpoint:
    async def token(request: Request) -> Response:
        form = dict(_form(await request.body()))
        if form.get("grant_type") != GRANT_TYPE:
            text = "Invalid grant_type: " + form.get("grant_type", "")
            return json_response({"error": "unsupported_grant_type", "error_description": text}, 400)
        try:
            return json_response(tokens.exchange(form.get("assertion", "")))
        except TokenError as error:
            return json_response({"error": error.error, "error_description": error.description}, 400)

    return token


def _form(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode("utf-8", "replace"))
