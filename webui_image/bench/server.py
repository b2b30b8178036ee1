"""A server in a process of its own, as an operator starts it, and a client that talks to it over loopback."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from webui_image.bench.figures import Bench

__all__ = ["Answer", "Client", "Server", "started"]

_JSON = {"Content-Type": "application/json"}
_PATIENCE = 300.0
_LOOK = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)


class Client:
    """One kept-alive connection."""

    def __init__(self, port: int, seconds: float = _PATIENCE) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)

    def get(self, path: str) -> Answer:
        """Ask."""
        return self._answer("GET", path, None, {})

    def post(self, path: str, body: Any, content_type: str = "") -> Answer:
        """Send bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._answer("POST", path, data, {"Content-Type": content_type} if content_type else _JSON)

    def send_only(self, path: str, body: Any) -> None:
        """Send a request and do not wait for the answer."""
        self._connection.request("POST", path, json.dumps(body).encode(), _JSON)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _answer(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Answer:
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        return Answer(response.status, response.read())


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and how long its start took, in seconds from the start of its process."""

    port: int
    pid: int
    opened: float
    ready: float
    phases: dict[str, float]

    def memory(self) -> int:
        """Give its resident memory, in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def started(bench: Bench) -> Iterator[Server]:
    """Give a server that is ready; it is ended afterwards. Raises RuntimeError where it does not come up."""
    port = _free_port()
    log = bench.scratch / f"server-{port}.log"
    environment = os.environ | {
        "MODEL_URI": str(bench.model),
        "CACHE_DIR": str(bench.scratch / "cache"),
        "ALLOW_ANONYMOUS": "1",
        "QUEUE_PER_USER": "64",
        "DRAIN_SECONDS": "0",
    }
    begun = bench.clock.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "webui_image", "serve", "--port", str(port)],
            stdout=output,
            stderr=output,
            env=environment,
        )
    try:
        opened = _when(bench, process, begun, lambda: _answers(port), log)
        ready = _when(bench, process, begun, lambda: Client(port, 5.0).get("/readyz").status == 200, log)
        phases = Client(port).get("/readyz").json().get("phase_seconds", {})
        yield Server(port, process.pid, opened, ready, phases)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _when(bench: Bench, process: subprocess.Popen[bytes], begun: float, done: Any, log: Path) -> float:
    """Give the seconds from `begun` until `done` says so."""
    never = threading.Event()
    while bench.clock.monotonic() - begun < _PATIENCE:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {_last_line(log)}")
        try:
            if done():
                return bench.clock.monotonic() - begun
        except (OSError, http.client.HTTPException):
            pass
        bench.clock.wait(never, _LOOK)
    raise RuntimeError(f"the server did not come up within {_PATIENCE:.0f} s: {_last_line(log)}")


def _answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1][:300] if lines else "it said nothing"
