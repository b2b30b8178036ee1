"""The demo app, for Pods in which the app is not the point: it tells where it runs, and pretends to render.

A program of its own (`python -I -S demoapp.py`), standard library only, light enough to run dozens of times: a thread
for each connection, HTTP/1.1 with keep-alive, no framework. It does what an app behind a load balancer should: on
SIGTERM its readiness turns 503 while it serves on, so that the load balancer can turn away first; after
DRAIN_SECONDS it takes no new connections, finishes what is in flight and exits with 0.

Environment: HOST, PORT (7860), GPU_HUNTER_{REGION,ACCELERATOR,CAPACITY,SERVICE,POD}, APP_VERSION, DRAIN_SECONDS (3),
START_SECONDS (0: how long until it is ready, as a model takes to load), DEMO_CONTROLS (1 allows `POST /admin/unhealthy`
and `POST /admin/healthy`, for rehearsing a sick app).
"""

import os
import signal
import socket
import sys
import threading
import time

LARGEST_HEAD_BYTES = 65536
LARGEST_BODY_BYTES = 1024 * 1024
LONGEST_RENDER_MS = 600_000
IDLE_SECONDS = 300.0
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    503: "Service Unavailable",
}
PLACE = {
    "region": os.environ.get("GPU_HUNTER_REGION", "unknown"),
    "accelerator": os.environ.get("GPU_HUNTER_ACCELERATOR", "unknown"),
    "capacity": os.environ.get("GPU_HUNTER_CAPACITY", "unknown"),
    "service": os.environ.get("GPU_HUNTER_SERVICE", ""),
    "pod": os.environ.get("GPU_HUNTER_POD") or os.environ.get("HOSTNAME", "unknown"),
    "version": os.environ.get("APP_VERSION", "dev"),
}

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>GPU Hunter demo - {region}</title><style>
:root{{color-scheme:light dark}}
body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1rem}}
h1{{font-size:1.6rem;margin:0}}p{{color:#777;margin:.2rem 0 1.5rem}}
dl{{display:grid;grid-template-columns:9rem 1fr;gap:.4rem}}
dt{{color:#777}}dd{{margin:0;font-weight:600}}</style><h1>Served from {region}</h1>
<p>{service} - reload the page: when the GPUs move, so does this answer.</p><dl><dt>GPU type</dt><dd>{accelerator}</dd>
<dt>Capacity type</dt><dd>{capacity}</dd><dt>Pod</dt><dd>{pod}</dd><dt>Version</dt><dd>{version}</dd></dl></html>
"""


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the program
    """A request that is answered with an error and the end of its connection."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class State:
    """What all connections share."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.healthy = True
        self.ready_at = time.monotonic_ns() + int(float(os.environ.get("START_SECONDS", "0")) * 1e9)
        self._busy = 0
        self._lock = threading.Condition()

    @property
    def ready(self) -> bool:
        """Whether new requests are welcome."""
        return self.healthy and not self.stopping.is_set() and time.monotonic_ns() >= self.ready_at

    def begin(self) -> None:
        """Count a request in."""
        with self._lock:
            self._busy += 1

    def end(self) -> None:
        """Count a request out."""
        with self._lock:
            self._busy -= 1
            self._lock.notify_all()

    def wait_until_idle(self) -> None:
        """Wait until no request is in flight."""
        with self._lock:
            while self._busy:
                self._lock.wait()


def quote(text: str) -> str:
    """Give a JSON string."""
    parts = ['"']
    for letter in text:
        if letter in '"\\':
            parts.append("\\" + letter)
        elif letter < " ":
            parts.append(f"\\u{ord(letter):04x}")
        else:
            parts.append(letter)
    return "".join([*parts, '"'])


def to_json(values: dict[str, object]) -> bytes:
    """Give a JSON object of plain values."""
    pairs = []
    for key, value in values.items():
        text = ("true" if value else "false") if isinstance(value, bool) else value
        pairs.append(f"{quote(key)}: {quote(value) if isinstance(value, str) else text}")
    return ("{" + ", ".join(pairs) + "}\n").encode()


def escape(text: str) -> str:
    """Make text safe inside HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


class Connection:
    """One connection and its requests, one after the other."""

    def __init__(self, sock: socket.socket, state: State) -> None:
        self._sock = sock
        self._state = state
        self._buffer = b""

    def serve(self) -> None:
        """Answer until the client has enough."""
        try:
            while self._one():
                pass
        except Refusal as refusal:
            self._quietly_answer(refusal)
        except OSError:
            pass  # the client went away
        finally:
            self._sock.close()

    def _one(self) -> bool:
        head = self._read_head()
        if not head:
            return False
        self._state.begin()
        try:
            method, target, version, headers = parse_head(head)
            self._read_body(headers)
            code, kind, body = self._answer(method, target, headers)
            wish = headers.get("connection", "").lower()
            keep = (
                wish == "keep-alive" if version == "HTTP/1.0" else wish != "close"
            ) and not self._state.stopping.is_set()
            self._send(code, kind, body, keep=keep, body_wanted=method != "HEAD")
        finally:
            self._state.end()
        return keep

    def _read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > LARGEST_HEAD_BYTES:
                raise Refusal(400, "request head too large")
            data = self._sock.recv(65536)
            if not data:
                return b""
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head

    def _read_body(self, headers: dict[str, str]) -> None:
        if "transfer-encoding" in headers:
            raise Refusal(411, "send a Content-Length")
        length = headers.get("content-length", "0")
        if not length.isdigit():
            raise Refusal(400, "bad Content-Length")
        if int(length) > LARGEST_BODY_BYTES:
            raise Refusal(413, "request body too large")
        while len(self._buffer) < int(length):
            data = self._sock.recv(65536)
            if not data:
                raise OSError("the client ended in the middle of a request")
            self._buffer += data
        self._buffer = self._buffer[int(length) :]

    def _answer(self, method: str, target: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
        path, _, query = target.partition("?")
        if path.startswith("/admin/") and os.environ.get("DEMO_CONTROLS") == "1":
            return self._control(method, path)
        if method not in {"GET", "HEAD", "POST"}:
            return 405, "text/plain", b"method not allowed\n"
        if path == "/healthz":
            healthy = self._state.healthy
            return (200, "text/plain", b"ok\n") if healthy else (503, "text/plain", b"told to be unhealthy\n")
        if path == "/readyz":
            if self._state.ready:
                return 200, "text/plain", b"ready\n"
            return 503, "text/plain", b"stopping\n" if self._state.stopping.is_set() else b"not ready\n"
        if path == "/render":
            milliseconds = render_time(query)
            pause(milliseconds / 1000)
            return 200, "application/json", to_json({**PLACE, "rendered_ms": milliseconds})
        if path in {"/", "/about"}:
            if "text/html" in headers.get("accept", ""):
                safe = {key: escape(value) for key, value in PLACE.items()}
                return 200, "text/html; charset=utf-8", PAGE.format(**safe).encode()
            return 200, "application/json", to_json(dict(PLACE))
        return 404, "text/plain", b"not found: try /, /about, /render?ms=100, /healthz, /readyz\n"

    def _control(self, method: str, path: str) -> tuple[int, str, bytes]:
        if method != "POST":
            return 405, "text/plain", b"POST only\n"
        if path not in {"/admin/healthy", "/admin/unhealthy"}:
            return 404, "text/plain", b"not found\n"
        self._state.healthy = path == "/admin/healthy"
        return 200, "application/json", to_json({"healthy": self._state.healthy})

    def _send(self, code: int, kind: str, body: bytes, *, keep: bool, body_wanted: bool = True) -> None:
        head = (
            f"HTTP/1.1 {code} {REASONS[code]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"Cache-Control: no-store\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
        )
        self._sock.sendall(head.encode() + (body if body_wanted else b""))

    def _quietly_answer(self, refusal: Refusal) -> None:
        try:
            self._send(refusal.code, "text/plain", f"{refusal}\n".encode(), keep=False)
        except OSError:
            return


def parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Take a request's head apart."""
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise Refusal(400, "not an HTTP/1.x request")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Refusal(400, "bad header line")
        headers[name.strip().lower()] = value.strip()
    return parts[0], parts[1], parts[2], headers


def render_time(query: str) -> int:
    """Give the milliseconds of work that `ms=` asks for."""
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key == "ms":
            if not value.isdigit() or int(value) > LONGEST_RENDER_MS:
                raise Refusal(400, f"ms must be a whole number up to {LONGEST_RENDER_MS}")
            return int(value)
    return 100


def pause(seconds: float) -> None:
    """Let time pass, as a GPU would while it renders."""
    threading.Event().wait(seconds)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(512)
    return sock


def accept(listener: socket.socket, state: State) -> None:
    """Take connections for as long as the listener is open."""
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        sock.settimeout(IDLE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Connection(sock, state).serve, daemon=True).start()


def take_no_more(listener: socket.socket) -> None:
    """Close the listener; a mere close would leave the thread in accept() one more connection to take."""
    try:  # noqa: SIM105 - contextlib is not worth its memory here
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # not every system knows this for listeners
    listener.close()


def main() -> int:
    """Serve until SIGTERM or SIGINT, then drain and leave."""
    threading.stack_size(256 * 1024)
    state = State()
    host, port = os.environ.get("HOST") or "127.0.0.1", int(os.environ.get("PORT") or "7860")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: state.stopping.set())
    try:
        listener = listen(host, port)
    except OSError as error:
        print(f"cannot listen on {host}:{port}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    threading.Thread(target=accept, args=(listener, state), daemon=True).start()
    print(f"serving on {host}:{port} as {PLACE['pod']} in {PLACE['region']}", flush=True)  # noqa: T201
    state.stopping.wait()
    print("stopping: not ready any more, serving on", flush=True)  # noqa: T201
    pause(float(os.environ.get("DRAIN_SECONDS", "3")))
    take_no_more(listener)
    state.wait_until_idle()
    print("stopped", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
