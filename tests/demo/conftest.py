"""A web server that answers as a test wants."""

import http.server
import threading
from collections.abc import Callable, Iterator

import pytest

Answer = tuple[int, dict[str, str], bytes]


class Scripted:
    """Gives each request to `answer`, a function of the request's number, path and body; None cuts the connection."""

    def __init__(self) -> None:
        self.served = 0
        self.bodies: list[bytes] = []
        self.answer: Callable[[int, str, bytes], Answer | None] = lambda *_: (200, {}, b"{}")
        self.address = ""


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Give a server on a free port of loopback."""
    scripted = Scripted()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            scripted.served += 1
            scripted.bodies.append(body)
            found = scripted.answer(scripted.served - 1, self.path, body)
            if found is None:
                self.close_connection = True
                return
            status, headers, payload = found
            self.send_response(status)
            for name, value in {"Content-Length": str(len(payload)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)
            self.close_connection = int(headers.get("Content-Length", len(payload))) != len(payload)

        do_POST = do_GET  # noqa: N815 - http.server's names

        def log_message(
            self,
            format: str,  # noqa: A002
            *args: object,
        ) -> None:
            """Say nothing."""

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    scripted.address = f"127.0.0.1:{web.server_address[1]}"
    yield scripted
    web.shutdown()
    web.server_close()
