"""Servers on loopback: how their connections are set up."""

import asyncio
import socket

from controlplane.localcloud.serving import serve


async def nothing(scope, receive, send):
    """Answer with nothing."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_an_answer_is_sent_at_once():
    """Nagle's algorithm is off: with it the second part of each answer waits some 40 ms for the client's word."""

    async def main():
        server = await serve(nothing, "127.0.0.1", 0, None, None)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        (connection,) = server._inner.server_state.connections
        option = connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        await server.stop()
        return option

    assert asyncio.run(main())
