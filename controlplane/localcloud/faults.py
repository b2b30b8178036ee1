"""Faults on request: what an endpoint does wrong, for whom, how often; and the ASGI wrapper that does it.

A fault is data, so that the command line, tests and the daemon's admin API share one book. Everything that can be
done to any HTTP server happens in the wrapper; `stale-read` and `partial-list` need knowledge of the data, so the
wrapper only hands them on in the scope (`gpuhunter.fault`) and the API server acts on them.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import orjson

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.clock import Clock, SystemClock, chance

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Kind: TypeAlias = Literal[
    "latency", "403", "429", "500", "503", "hang", "cut", "lost-answer", "stale-read", "partial-list",
    "expired-credential", "cluster-quota", "cluster-error",
]  # fmt: skip

KINDS: tuple[str, ...] = get_args(Kind)
# These happen to what is asked for and not to the asking: whoever makes clusters takes them out of the book.
DEEDS = ("cluster-quota", "cluster-error")
SCOPE_KEY = "gpuhunter.fault"
ABORT = "gpuhunter.abort"
_ANSWERS = {
    "403": (403, "Forbidden", "forbidden: denied by an injected fault"),
    "429": (429, "TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    "500": (500, "InternalError", "Internal error occurred: an injected fault"),
    "503": (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
    "expired-credential": (401, "Unauthorized", "Unauthorized"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong at an endpoint (a cluster's name, "gcp", or "*" for all).

    `methods` is empty for all; `path` is a regular expression that is searched in the path with its query; `times`
    is how often it happens before it is over, None until it is removed; `seconds` is how long latency and hangs take
    (a hang without lasts until the client leaves). `cluster-quota` refuses a new cluster and `cluster-error` lets its
    creation fail; their `path` is searched in the cluster's LOCATION/NAME.
    """

    endpoint: str
    kind: Kind
    methods: tuple[str, ...] = ()
    path: str = ""
    probability: float = 1.0
    times: int | None = None
    seconds: float | None = None
    retry_after: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {self.kind!r}: one of {', '.join(KINDS)}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability {self.probability} is not between 0 and 1")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times {self.times} is less than 1")
        if self.seconds is not None and not 0 <= self.seconds < float("inf"):
            raise ValueError(f"seconds {self.seconds} is not a duration")
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path {self.path!r} is not a regular expression: {error}") from error


class FaultBook:
    """The faults in force."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._left: dict[str, int] = {}
        self._count = 0
        self.listeners: list[Callable[[str, Fault], None]] = []

    def add(self, fault: Fault) -> str:
        """Put a fault in force; the id that comes back removes it."""
        self._count += 1
        fault_id = f"fault-{self._count}"
        self._faults[fault_id] = fault
        if fault.times is not None:
            self._left[fault_id] = fault.times
        for listener in self.listeners:
            listener(fault_id, fault)
        return fault_id

    def remove(self, fault_id: str) -> bool:
        """End a fault; say whether it was in force."""
        self._left.pop(fault_id, None)
        return self._faults.pop(fault_id, None) is not None

    def clear(self, endpoint: str | None = None) -> int:
        """End all faults, or those of one endpoint; say how many."""
        ended = [one for one, fault in self._faults.items() if endpoint in (None, fault.endpoint)]
        for fault_id in ended:
            self.remove(fault_id)
        return len(ended)

    def strike(self, endpoint: str, method: str, path: str) -> list[tuple[str, Fault]]:
        """Give what goes wrong with this request, and count it."""
        if not self._faults:
            return []
        struck: list[tuple[str, Fault]] = []
        for fault_id, fault in list(self._faults.items()):
            if fault.kind in DEEDS or fault.endpoint not in ("*", endpoint):
                continue
            if (fault.methods and method not in fault.methods) or not re.search(fault.path, path):
                continue
            if chance(fault.probability):
                self._count_down(fault_id)
                struck.append((fault_id, fault))
        return struck

    def take(self, kind: Kind, subject: str) -> bool:
        """Say whether a deed such as the making of a cluster goes wrong in this way, and count it."""
        for fault_id, fault in list(self._faults.items()):
            if fault.kind == kind and re.search(fault.path, subject) and chance(fault.probability):
                self._count_down(fault_id)
                return True
        return False

    def _count_down(self, fault_id: str) -> None:
        if fault_id in self._left:
            self._left[fault_id] -= 1
            if not self._left[fault_id]:
                self.remove(fault_id)

    def list(self) -> dict[str, Fault]:
        """Give the faults in force by their ids."""
        return dict(self._faults)


def with_faults(app: AsgiApp, book: FaultBook, endpoint: str, clock: Clock | None = None) -> AsgiApp:
    """Wrap an ASGI application so that the book's faults happen to it."""
    time = clock or SystemClock()

    async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        query = scope.get("query_string", b"").decode("latin-1")
        path = f"{scope['path']}?{query}" if query else scope["path"]
        for fault_id, fault in book.strike(endpoint, scope["method"], path):
            if fault.kind == "latency":
                await time.sleep(fault.seconds or 0)
            elif fault.kind == "hang":
                await _hang(fault, time, receive)
                _abort(scope)
                return
            elif fault.kind == "cut":
                _abort(scope)
                return
            elif fault.kind == "lost-answer":
                await app(scope, receive, _swallow)
                _abort(scope)
                return
            elif fault.kind in _ANSWERS:
                await _answer(fault, send)
                return
            else:
                scope[SCOPE_KEY] = (fault_id, fault)
        await app(scope, receive, send)

    return faulty


async def _hang(fault: Fault, clock: Clock, receive: Receive) -> None:
    """Wait until the client gives up, or for the fault's seconds."""
    gone = asyncio.ensure_future(_disconnected(receive))
    tasks: set[asyncio.Future[None]] = {gone}
    if fault.seconds is not None:
        tasks.add(asyncio.ensure_future(clock.sleep(fault.seconds)))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _swallow(message: MutableMapping[str, Any]) -> None:
    """Send nothing."""


def _abort(scope: Scope) -> None:
    """Cut the connection, which the serving helper makes possible; elsewhere the server answers 500."""
    abort = (scope.get("extensions") or {}).get(ABORT)
    if abort is None:
        raise ConnectionAbortedError("the connection was to be cut by a fault")
    abort()


async def _answer(fault: Fault, send: Send) -> None:
    code, reason, message = _ANSWERS[fault.kind]
    details = {"retryAfterSeconds": fault.retry_after} if fault.retry_after is not None else None
    body = orjson.dumps(ApiError(code, reason, message, details=details).status())
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if fault.kind == "429" or fault.retry_after is not None:
        headers.append((b"retry-after", str(1 if fault.retry_after is None else fault.retry_after).encode()))
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
