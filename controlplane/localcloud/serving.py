"""Running an ASGI application on a loopback port inside the daemon's own event loop.

uvicorn is meant to own its process: here several servers share one loop, so signals are not touched, nothing is
logged per request, and a connection can be cut from inside (`faults` needs that, ASGI has no such thing).
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from controlplane.localcloud.faults import ABORT, AsgiApp

_BACKLOG = 2048


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with a way to cut the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {**(self.scope.get("extensions") or {}), ABORT: self._abort}
        self.scope["extensions"] = extensions

    def _abort(self) -> None:
        if self.cycle is not None:
            self.cycle.response_started = self.cycle.response_complete = True
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.abort()


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers, with an event that says when it serves, and with a clock for its Date."""

    def __init__(self, config: uvicorn.Config, now: Callable[[], datetime] | None) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._now = now

    async def on_tick(self, counter: int) -> bool:
        done = await super().on_tick(counter)
        if self._now is not None and counter % 10 == 0:  # once a second, as uvicorn does with the machine's time
            self.server_state.default_headers = [(b"date", format_datetime(self._now(), usegmt=True).encode())]
        return done

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """A running server."""

    def __init__(self, inner: uvicorn.Server, task: "asyncio.Task[None]", port: int, sock: socket.socket) -> None:
        self._inner = inner
        self._task = task
        self._socket = sock
        self.port = port

    async def stop(self) -> None:
        """Close the port and every connection; requests in flight are cut, as a dying region cuts them."""
        self._inner.should_exit = True
        self._inner.force_exit = True
        for server in getattr(self._inner, "servers", ()):
            server.close()
        for connection in list(self._inner.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        for request in list(self._inner.server_state.tasks):
            request.cancel()
        try:
            # Not awaited itself: its cancellation and that of whoever stops it would be one and the same.
            await asyncio.wait([self._task])
        finally:
            self._socket.close()


def _by_name(certificates: Mapping[str, tuple[Path, Path]]) -> Callable[[Any, str | None, ssl.SSLContext], None]:
    contexts = {}
    for name, (certificate, key) in certificates.items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[name].load_cert_chain(certificate, key)

    def choose(connection: Any, name: str | None, _: ssl.SSLContext) -> None:
        if name in contexts:
            connection.context = contexts[name]

    return choose


async def serve(
    app: AsgiApp,
    host: str,
    port: int,
    certfile: Path | None,
    keyfile: Path | None,
    *,
    now: Callable[[], datetime] | None = None,
    by_name: Mapping[str, tuple[Path, Path]] = MappingProxyType({}),
) -> Server:
    """Serve on a loopback address (port 0: any free one) until stopped; OSError where the port is taken.

    now: the time that answers carry as their Date; without it they carry none. by_name: the certificate and key for
    clients that ask for one of these names (TLS' SNI, which those that were given an address do not send).
    """
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} is no loopback address")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it each answer takes 40 ms
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
    )
    config.load()
    if config.ssl is not None and by_name:
        config.ssl.sni_callback = _by_name(by_name)
    inner = _Uvicorn(config, now)
    task = asyncio.get_running_loop().create_task(inner.serve(sockets=[sock]))
    ready = asyncio.get_running_loop().create_task(inner.ready.wait())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if task.done():
        task.result()
        raise OSError(f"the server on {host}:{port} did not start")
    return Server(inner, task, sock.getsockname()[1], sock)
