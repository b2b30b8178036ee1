"""The log subresource of Pods: whose log it is, and streaming it until it or the client ends.

The lines themselves come from a source that the kubelet gives; the API server only knows how to ask.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.errors import bad_request, not_found, unavailable
from controlplane.localcloud.apiserver.request import Request, Target
from controlplane.localcloud.faults import Receive, Send

# (namespace, pod, container, follow, tail_lines, previous, since_seconds, timestamps) -> pieces of the log
LogSource: TypeAlias = Callable[[str, str, str | None, bool, int | None, bool, int | None, bool], AsyncIterator[bytes]]


async def answer_log(core: Core, source: LogSource | None, request: Request, where: Target, send: Send) -> None:
    """Stream a container's log."""
    pod = core.store.find("pods", (where.namespace or "", where.name))
    if pod is None:
        raise not_found("pods", where.name)
    if source is None:
        raise unavailable("this cluster runs no Pods, so it has no logs")
    containers = [one["name"] for one in pod.object["spec"]["containers"]]
    container = request.query.get("container", "")
    if not container and len(containers) > 1:
        raise bad_request(
            f"a container name must be specified for pod {where.name}, choose one of: [{' '.join(containers)}]"
        )
    if container and container not in containers:
        raise bad_request(f"container {container} is not valid for pod {where.name}")
    pieces = source(
        where.namespace or "", where.name, container or containers[0], request.flag("follow"),
        request.integer("tailLines"), request.flag("previous"), request.integer("sinceSeconds"),
        request.flag("timestamps"),
    )  # fmt: skip
    await _stream(pieces, request.receive, send)


async def _stream(pieces: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    started = False

    async def pump() -> None:
        nonlocal started
        async for piece in pieces:
            if not started:
                await _start(send)
                started = True
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    pumping, leaving = asyncio.ensure_future(pump()), asyncio.ensure_future(left())
    try:
        await asyncio.wait({pumping, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if pumping.done() and not started:
            pumping.result()  # an error becomes a Status only while nothing was sent
    finally:
        leaving.cancel()
        if not pumping.done():
            pumping.cancel()
    if not started:
        await _start(send)
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
