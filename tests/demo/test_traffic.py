"""The demonstration's client counts honestly."""

import http.server
import threading
from collections.abc import Callable, Iterator

import pytest

from controlplane.clock import SystemClock
from controlplane.demo.traffic import Traffic, percentile

ANSWER = b'{"region": "us-east4", "accelerator": "nvidia-l4", "capacity": "spot"}'


class Server(http.server.BaseHTTPRequestHandler):
    """Gives the answers in turn."""

    protocol_version = "HTTP/1.1"
    answers: tuple[tuple[int, bytes], ...] = ((200, ANSWER),)
    served = 0

    def do_GET(self) -> None:
        status, body = self.answers[Server.served % len(self.answers)]
        Server.served += 1
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(
        self,
        format: str,  # noqa: A002
        *args: object,
    ) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Give a server whose answers a test chooses."""
    Server.served = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def run(address: str, requests: int) -> Traffic:
    traffic = Traffic(address, SystemClock(), workers=1, pause=0.001)
    traffic.start()
    wait_until(lambda: Server.served >= requests)
    return traffic


def wait_until(done: Callable[[], bool]) -> None:
    for _ in range(500):
        if done():
            return
        threading.Event().wait(0.01)
    raise AssertionError("the client stopped sending")


def test_good_answers_are_counted_by_who_gave_them(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every whole answer counts once, under the region, GPU type and capacity type that it names."""
    monkeypatch.setattr(Server, "answers", ((200, ANSWER),))
    tally = run(address, 5).stop()
    assert tally.failed == 0
    assert tally.ok == Server.served
    assert tally.regions == {"us-east4 nvidia-l4 spot": tally.ok}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((503, b"no healthy upstream"), id="error-status"),
        pytest.param((200, b"<html>"), id="not-the-service"),
        pytest.param((200, b"{}"), id="names-no-region"),
    ],
)
def test_anything_but_a_whole_answer_is_a_failure(
    address: str, bad: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong status or a foreign body is a failed request, and its reason is kept."""
    monkeypatch.setattr(Server, "answers", ((200, ANSWER), bad))
    tally = run(address, 6).stop()
    assert tally.failed >= 2
    assert tally.ok >= 2
    assert len(tally.errors) == tally.failed


def test_nobody_there_is_a_failure() -> None:
    """A refused connection counts against the service."""
    traffic = Traffic("127.0.0.1:1", SystemClock(), workers=1, pause=0.001)
    traffic.start()
    wait_until(lambda: traffic.tally().failed >= 2)
    assert traffic.stop().ok == 0


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        pytest.param([], 0.5, 0.0, id="none"),
        pytest.param([1.0], 0.99, 1.0, id="one"),
        pytest.param([1.0, 2.0, 3.0, 4.0], 0.5, 3.0, id="median"),
        pytest.param([float(n) for n in range(100)], 0.99, 99.0, id="tail"),
    ],
)
def test_percentiles_are_by_nearest_rank(values: list[float], share: float, expected: float) -> None:
    """The share of values below the result is what was asked for."""
    assert percentile(values, share) == expected
