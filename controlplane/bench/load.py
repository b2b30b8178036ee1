"""A small HTTP client that can load an API server without being the bottleneck itself.

It speaks HTTP/1.1 over a handful of keep-alive TLS connections and reads answers by Content-Length or chunks; nothing
is parsed beyond that. The Python Kubernetes client manages a few hundred requests a second, which would measure itself.
"""

import asyncio
import ssl
from collections.abc import Callable

from controlplane.clock import Clock


async def requests_per_second(
    host: str,
    port: int,
    authority: str,
    request: Callable[[int], bytes],
    *,
    clock: Clock,
    seconds: float = 3.0,
    connections: int = 8,
) -> float:
    """Send `request(n)` for n = 0, 1, ... for so many seconds and give the answers with a 2xx status per second."""
    context = ssl.create_default_context(cadata=authority)
    numbers = iter(range(10**9))
    end = clock.monotonic() + seconds
    begun = clock.monotonic()

    async def work() -> int:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
        answered = 0
        while clock.monotonic() < end:
            writer.write(request(next(numbers)))
            if await _status(reader) // 100 != 2:
                raise RuntimeError("the API server answered with an error under load")
            answered += 1
        writer.close()
        return answered

    answered = await asyncio.gather(*(work() for _ in range(connections)))
    return sum(answered) / (clock.monotonic() - begun)


async def _status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    status = int(lines[0].split()[1])
    fields = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
    if b"content-length" in fields:
        await reader.readexactly(int(fields[b"content-length"]))
    elif fields.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return status


def get(path: str, token: str) -> bytes:
    """Give a GET request."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n".encode()


def patch(path: str, token: str, body: bytes, content_type: str) -> bytes:
    """Give a PATCH request."""
    head = (
        f"PATCH {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
        f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
