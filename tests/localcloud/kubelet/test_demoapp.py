"""The demo app as a process: its answers, its health, and how it leaves."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection

import pytest

from controlplane.localcloud.kubelet.images import LOCALCLOUD

PLACE = {
    "GPU_HUNTER_REGION": "us-east4",
    "GPU_HUNTER_ACCELERATOR": "nvidia-l4",
    "GPU_HUNTER_CAPACITY": "spot",
    "GPU_HUNTER_POD": "web-<1>",
    "APP_VERSION": "7",
}


class App:
    def __init__(self, **env):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings = {"HOST": "127.0.0.1", "PORT": str(self.port), "DRAIN_SECONDS": "0.3", **PLACE, **env}
        program = [sys.executable, "-I", "-S", str(LOCALCLOUD / "demoapp.py")]
        self.process = subprocess.Popen(program, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
        self.connections = []
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError("the app never listened")

    def connect(self):
        self.connections.append(HTTPConnection("127.0.0.1", self.port, timeout=10))
        return self.connections[-1]

    def get(self, path="/", connection=None, method="GET", **headers):
        connection = connection or self.connect()
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers

    def close(self):
        for connection in self.connections:
            connection.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def app():
    apps = []

    def start(**env):
        apps.append(App(**env))
        return apps[-1]

    yield start
    for each in apps:
        each.close()


def test_it_tells_where_it_runs(app):
    """Programs get JSON with place, Pod and version."""
    status, body, _ = app().get()
    assert status == 200
    assert json.loads(body) == {
        "region": "us-east4",
        "accelerator": "nvidia-l4",
        "capacity": "spot",
        "service": "",
        "pod": "web-<1>",
        "version": "7",
    }


def test_a_browser_gets_a_page_without_markup_from_outside(app):
    """The page names the region; what the environment says is escaped."""
    status, body, headers = app().get(Accept="text/html,*/*")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "Served from us-east4" in body
    assert "web-&lt;1&gt;" in body


def test_rendering_takes_as_long_as_asked(app):
    """/render works for so many milliseconds and says so."""
    began = time.monotonic()
    status, body, _ = app().get("/render?ms=200")
    assert (status, json.loads(body)["rendered_ms"]) == (200, 200)
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        pytest.param("/healthz", "GET", 200, id="healthy"),
        pytest.param("/readyz", "GET", 200, id="ready"),
        pytest.param("/none", "GET", 404, id="unknown-path"),
        pytest.param("/", "DELETE", 405, id="unknown-method"),
        pytest.param("/render?ms=-1", "GET", 400, id="negative-work"),
        pytest.param("/render?ms=99999999999", "GET", 400, id="endless-work"),
        pytest.param("/admin/unhealthy", "POST", 404, id="controls-are-off"),
    ],
)
def test_status_codes(app, path, method, status):
    """Every path and every mistake has its code."""
    assert app().get(path, method=method)[0] == status


def test_one_connection_serves_many_requests(app):
    """HTTP/1.1 keep-alive."""
    running = app()
    connection = running.connect()
    assert [running.get("/healthz", connection)[0] for _ in range(20)] == [200] * 20
    assert len(running.connections) == 1


def test_it_is_not_ready_before_its_start_is_over(app):
    """START_SECONDS holds readiness back, not liveness."""
    running = app(START_SECONDS="30")
    assert running.get("/readyz")[0] == 503
    assert running.get("/healthz")[0] == 200


def test_it_can_be_made_unhealthy_where_that_is_allowed(app):
    """The controls change liveness and readiness together."""
    running = app(DEMO_CONTROLS="1")
    assert running.get("/admin/unhealthy", method="POST")[0] == 200
    assert (running.get("/healthz")[0], running.get("/readyz")[0]) == (503, 503)
    assert running.get("/admin/healthy", method="POST")[0] == 200
    assert running.get("/healthz")[0] == 200


def test_on_sigterm_it_serves_on_unready_and_finishes_what_is_in_flight(app):
    """After SIGTERM it is unready, still answers new requests, ends the one in flight well, and exits with 0."""
    running = app(DRAIN_SECONDS="0.5")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(running.get("/render?ms=1500")[0]))
    slow.start()
    time.sleep(0.2)
    running.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    assert running.get("/readyz")[0] == 503
    status, _, headers = running.get("/")
    assert (status, headers["Connection"]) == (200, "close")
    slow.join()
    assert answers == [200]
    assert running.process.wait(timeout=5) == 0


def test_a_port_in_use_ends_it_with_an_error(app):
    """A second app on the same port ends with 1."""
    running = app()
    program = [sys.executable, "-I", "-S", str(LOCALCLOUD / "demoapp.py")]
    env = {**os.environ, "HOST": "127.0.0.1", "PORT": str(running.port)}
    second = subprocess.run(program, env=env, capture_output=True, text=True, timeout=10, check=False)
    assert second.returncode == 1
    assert "cannot listen" in second.stderr
