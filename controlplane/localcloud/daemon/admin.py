"""The admin endpoint: how the command line speaks to the daemon. Loopback only, and only with the token.

`POST /v1/<command>` with a JSON object of arguments gives a JSON object; a refusal is `{"error": one line}` with 400.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

import orjson

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.control.errors import LocalCloudError
from controlplane.localcloud.scenario import ScenarioError
from controlplane.localcloud.stock.ledger import StockError

log = logging.getLogger(__name__)

# Does one command: named arguments in, a JSON object out.
Command: TypeAlias = Callable[..., Awaitable[dict[str, Any]]]
LARGEST_BODY_BYTES = 1024 * 1024


class AdminApp:
    """The ASGI application."""

    def __init__(self, token: str, commands: Mapping[str, Command]) -> None:
        self._token = f"Bearer {token}".encode()
        self._commands = commands

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        code, answer = await self._answer(scope, receive)
        body = orjson.dumps(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: MutableMapping[str, Any], receive: Any) -> tuple[int, dict[str, Any]]:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._token):
            return 401, {"error": "the admin token is missing or wrong"}
        name = str(scope["path"]).removeprefix("/v1/")
        command = self._commands.get(name)
        if command is None or scope["method"] != "POST":
            return 404, {"error": f"unknown command {name!r}; known are {', '.join(sorted(self._commands))}"}
        try:
            return 200, await command(**await _arguments(receive))
        except (LocalCloudError, ScenarioError, StockError, ValueError) as error:
            return 400, {"error": str(error)}
        except ApiError as error:
            return 400, {"error": error.message}
        except TypeError as error:
            text = str(error)
            if "argument" not in text or f"{command.__name__}()" not in text:
                log.exception("command %s failed", name)
            return 400, {"error": f"{name}: {text.partition('() ')[2] or text}"}
        except Exception as error:
            log.exception("command %s failed", name)
            return 500, {"error": f"{name} failed: {error!r}; see daemon.log"}


async def _arguments(receive: Any) -> dict[str, Any]:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY_BYTES:
            raise LocalCloudError("the request is too large")
        if not message.get("more_body"):
            break
    arguments = orjson.loads(body or b"{}")
    if not isinstance(arguments, dict):
        raise LocalCloudError("arguments must be a JSON object")
    return arguments
