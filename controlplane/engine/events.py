"""Events about uploads over HTTP: from Eventarc as CloudEvents, or from Pub/Sub as a push; each names one file.

An answer of 2xx ends an event, any other has it delivered again, so what cannot be reached now is answered with 503 and
what makes no sense with 204: it would make none the next time either. Nothing rests on events, since every pass looks
into the inboxes; they only save the wait.
"""

import base64
import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_plus

import structlog

from controlplane.gateways.errors import GatewayError

LARGEST_BODY = 1024 * 1024
Take = Callable[[str], tuple[str, ...]]


def address_of(body: bytes) -> str:
    """Give the address of the file that an event is about; empty where it is about none.

    Eventarc's body is the object itself; Pub/Sub wraps the same, encoded, into `message.data`, or tells bucket and
    object in `message.attributes`. S3's notifications come as `Records`, keys
    in them as in an address, spaces as plus signs.
    """
    try:
        event = json.loads(body)
        message = event.get("message")
        if isinstance(message, Mapping):
            attributes = message.get("attributes") or {}
            event = json.loads(base64.b64decode(message["data"])) if message.get("data") else {}
            event = {"bucket": attributes.get("bucketId"), "name": attributes.get("objectId"), **event}
        if isinstance(event.get("Records"), list):
            record = event["Records"][0]["s3"]
            return f"s3://{record['bucket']['name']}/{unquote_plus(record['object']['key'])}"
        bucket, name = event.get("bucket"), event.get("name")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return ""
    return f"gs://{bucket}/{name}" if isinstance(bucket, str) and isinstance(name, str) and bucket and name else ""


class EventServer:
    """Serves until it is stopped; `take` is called for each event, in threads."""

    def __init__(self, host: str, port: int, take: Take) -> None:
        self._http = ThreadingHTTPServer((host, port), _handler(take))
        self.port = int(self._http.server_address[1])

    def run(self) -> None:
        """Serve until interrupted or closed."""
        self._http.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stop, and let the port go."""
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.server_close()


def _handler(take: Take) -> type[BaseHTTPRequestHandler]:
    log = structlog.get_logger("events")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer a health check."""
            self._answer(200, {"status": "ok"})

        def do_POST(self) -> None:
            """Take the file that the event names."""
            length = int(self.headers.get("content-length") or 0)
            if length > LARGEST_BODY:
                self._answer(413, {"error": "an event is smaller than that"})
                return
            uri = address_of(self.rfile.read(length))
            if not uri:
                self._answer(204)
                return
            try:
                made = take(uri)
            except GatewayError as error:
                log.warning("an event waits", file=uri, detail=error.message)
                self._answer(503, {"error": error.message})
                return
            log.info("event", file=uri, batches=list(made))
            self._answer(200, {"batches": list(made)})

        def _answer(self, code: int, body: Mapping[str, Any] | None = None) -> None:
            content = b"" if body is None else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing of each request: what matters is logged above."""

    return Handler
