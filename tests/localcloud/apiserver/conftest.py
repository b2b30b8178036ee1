"""An API server on virtual time, and an ASGI client without sockets."""

import asyncio
import json
from typing import Any

import pytest

from controlplane.localcloud.apiserver.server import ApiServer
from controlplane.localcloud.clock import VirtualClock
from controlplane.localcloud.faults import FaultBook


class Asgi:
    """Calls an ASGI application directly."""

    def __init__(self, app: Any, user: str = "admin") -> None:
        self._app = app
        self._user = user

    async def __call__(self, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, dict, Any]:
        path, _, query = target.partition("?")
        sent: list[dict[str, Any]] = []
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            content = b"" if body is None else json.dumps(body).encode()
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        given = {"authorization": f"Bearer {self._user}", "content-type": "application/json", **headers}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(key.replace("_", "-").encode(), value.encode()) for key, value in given.items()],
            "extensions": {"gpuhunter.abort": lambda: sent.append({"type": "abort"})},
        }
        await self._app(scope, receive, send)
        if not sent or sent[0]["type"] == "abort":
            return 0, {}, None
        content = b"".join(message.get("body", b"") for message in sent[1:])
        answer_headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
        is_json = answer_headers.get("content-type", "").startswith("application/json")
        return sent[0]["status"], answer_headers, json.loads(content) if is_json and content else content


@pytest.fixture
def book() -> FaultBook:
    """Give an empty book of faults."""
    return FaultBook()


@pytest.fixture
def clock() -> VirtualClock:
    """Give virtual time."""
    return VirtualClock()


@pytest.fixture
def make(clock, book):
    """Give a function that makes a server, with a file where one is wanted."""

    def build(database=None) -> ApiServer:
        return ApiServer("one", clock=clock, database=database, authenticate=lambda token: token or None, faults=book)

    return build


@pytest.fixture
def server(make) -> ApiServer:
    """Give a server without a file."""
    return make()


@pytest.fixture
def api(server):
    """Give its API."""
    return server.api


@pytest.fixture
def call(server) -> Asgi:
    """Give a client of its HTTP face."""
    return Asgi(server.app)


@pytest.fixture
def call_as(server):
    """Give a function that makes a client for a user."""
    return lambda user: Asgi(server.app, user)
