"""The way down, in a process of its own: what SIGTERM does to readiness, requests, the port and the exit code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
PROGRAM = """
    import sys, threading
    sys.path.insert(0, sys.argv[1])
    from conftest import FakeEngine
    from webui_image.clock import SystemClock
    from webui_image.metrics import Metrics
    from webui_image.server import environment, serving
    from webui_image.values.ports import Phase

    class Told(FakeEngine):
        # makes a second step when it is told to

        steps = 0

        def _pause(self, ticket):
            super()._pause(ticket)
            self.steps += 1
            if self.steps == 2:
                sys.stdin.readline()

    engine = (Told if sys.argv[3] == "told" else FakeEngine)(step_seconds=float(sys.argv[2]))
    if sys.argv[3] == "broken":
        engine.phase, engine.detail = Phase.FAILED, "/models/x: truncated"
    try:
        serving.serve(environment.read(), engine, Metrics(), SystemClock())
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    left = [each.name for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    print("calls", engine.calls, "threads", [name for name in left if "pictures" not in name])
    serving.leave()
"""
PATIENCE = 120.0  # seconds; waited for only where something is wrong
BODY = {"prompt": "a", "width": 64, "height": 64, "steps": 10}


class Process:
    """A server in a process of its own."""

    def __init__(self, step_seconds: float, state: str, environ: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), str(HERE), str(step_seconds), state],
            env=os.environ | {"PORT": str(self.port), "HOST": "127.0.0.1", "LOG_LEVEL": "warning"} | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tell(self) -> None:
        """Let the engine go on that waits for it."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def wait_until_open(self) -> float:
        """Give the seconds that it took."""
        while time.perf_counter() - self.begun < 200:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, self.process.communicate()[1]
                threading.Event().wait(0.01)
            else:
                return time.perf_counter() - self.begun
        raise AssertionError("the port stayed closed")

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; give exit code and output."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


def get(url):
    return httpx.get(url, timeout=PATIENCE)


@pytest.fixture
def run():
    """Start servers, and end those that the test left."""
    started = []

    def begin(step_seconds=0.0, state="ready", **environ):
        started.append(Process(step_seconds, state, environ))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def wait_for(condition):
    """Wait for what another process does."""
    deadline = time.perf_counter() + PATIENCE
    while not condition():
        assert time.perf_counter() < deadline, "it did not happen"
        threading.Event().wait(0.01)


def test_readiness_fails_at_once_while_requests_are_still_served(run):
    """After SIGTERM a load balancer reads 503, and what it sends meanwhile is answered with pictures."""
    for seconds in (4, 40):  # a busy machine may need more than four for what is asked
        server = run(DRAIN_SECONDS=str(seconds), TERMINATION_GRACE=str(seconds + 20))
        server.wait_until_open()
        assert get(f"{server.url}/readyz").status_code == 200
        begun = time.perf_counter()
        server.process.send_signal(signal.SIGTERM)
        try:
            wait_for(lambda server=server: get(f"{server.url}/readyz").status_code == 503)
            alive = get(f"{server.url}/livez")
            answer = httpx.post(f"{server.url}/sdapi/v1/txt2img", json=BODY, timeout=PATIENCE)
        except httpx.TransportError:
            assert time.perf_counter() - begun >= seconds
        else:
            break
    assert alive.status_code == 200
    assert (answer.status_code, len(answer.json()["images"])) == (200, 1)
    assert answer.headers["connection"] == "close"
    code, out, _ = server.end()
    assert code == 0
    assert "['start', 'drain', 'close']" in out


def test_what_fits_is_finished(run):
    """A request that is being drawn when the signal comes gets its picture, and the exit code is 0."""
    server = run(state="told", DRAIN_SECONDS="0", TERMINATION_GRACE="200")
    server.wait_until_open()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.post, f"{server.url}/sdapi/v1/txt2img", json=BODY, timeout=PATIENCE)
        wait_for(lambda: get(f"{server.url}/sdapi/v1/progress").json()["progress"] > 0)
        server.process.send_signal(signal.SIGTERM)
        server.tell()
        assert answer.result().status_code == 200
    code, out, _ = server.end()
    assert code == 0
    assert "threads []" in out


def test_what_does_not_fit_is_handed_back(run):
    """A request that would take longer than the grace is answered 503 in time, with a request to send it again."""
    server = run(600, DRAIN_SECONDS="0", TERMINATION_GRACE="2")
    server.wait_until_open()
    with ThreadPoolExecutor() as pool:
        answers = [
            pool.submit(httpx.post, f"{server.url}/sdapi/v1/txt2img", json=BODY, timeout=PATIENCE) for _ in range(3)
        ]
        wait_for(lambda: "sdwebui_queue_pictures 2.0" in get(f"{server.url}/metrics").text)
        server.process.send_signal(signal.SIGTERM)
        for each in answers:
            answer = each.result()
            assert answer.status_code == 503
            assert answer.headers["x-gpu-hunter-retry"] == "1"
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["connection"] == "close"
            assert answer.json()["retry"] is True
            assert "again" in answer.json()["errors"]
    code, _, _ = server.end()
    assert code == 0


def test_no_new_connection_after_turning_away(run):
    """When the time for turning away is over, the port is closed while the last picture is drawn."""
    server = run(state="told", DRAIN_SECONDS="0", TERMINATION_GRACE="200")
    server.wait_until_open()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.post, f"{server.url}/sdapi/v1/txt2img", json=BODY, timeout=PATIENCE)
        wait_for(lambda: get(f"{server.url}/sdapi/v1/progress").json()["progress"] > 0)
        server.process.send_signal(signal.SIGTERM)

        def refused():
            try:
                get(f"{server.url}/livez")
            except (httpx.ConnectError, httpx.ReadError):  # not taken, or taken by the kernel alone
                return True
            return False

        wait_for(refused)
        assert not answer.done()
        server.tell()
        assert answer.result().status_code == 200


def test_a_second_signal_ends_at_once(run):
    """Whoever insists is obeyed."""
    server = run(5, DRAIN_SECONDS="600", TERMINATION_GRACE="900")  # it would drain for longer than is waited for
    server.wait_until_open()
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: get(f"{server.url}/readyz").status_code == 503)
    server.process.send_signal(signal.SIGTERM)
    code, _, _ = server.end()
    assert code == 128 + signal.SIGTERM


def test_a_model_that_cannot_be_loaded_ends_the_process_with_the_reason(run):
    """The process ends by itself and says which file is wrong."""
    server = run(state="broken")
    code, _, err = server.end()
    assert code == 1
    assert "CannotServe: the model cannot be loaded: /models/x: truncated" in err


def test_a_port_in_use_is_one_line(run):
    """A second server on the same port says where and why it cannot listen."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = run(PORT=str(port))
        code, _, err = server.end()
    assert code == 1
    assert f"CannotServe: 127.0.0.1:{port}: cannot listen there" in err


def test_listening_beyond_loopback_without_authentication_is_refused(run):
    """Nobody opens a server to strangers without saying so."""
    server = run(HOST="0.0.0.0")
    code, _, err = server.end()
    assert code == 1
    assert "UnsafeError: HOST: 0.0.0.0 can be reached from elsewhere" in err
    assert "ALLOW_ANONYMOUS=1" in err
