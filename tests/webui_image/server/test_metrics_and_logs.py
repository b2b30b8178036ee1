"""What is counted, and what logs say and keep to themselves."""

from __future__ import annotations

import io
import json
import logging
from hashlib import sha256

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from webui_image.metrics import Metrics
from webui_image.server import logs
from webui_image.server.settings import Access, Key, Place, Settings

BODY = {"prompt": "a secret garden", "negative_prompt": "weeds", "width": 64, "height": 64, "steps": 2}


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Give values by name and sorted labels."""
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_kind_and_route(server, client):
    """Pictures, latencies and HTTP answers appear under their labels; unknown paths share one."""
    client.post("/sdapi/v1/txt2img", json=BODY | {"n_iter": 3})
    client.post("/sdapi/v1/txt2img", json=BODY | {"steps": -1})
    for path in ("/nowhere", "/else", "/%00"):
        client.get(path)
    found = samples(client.get("/metrics").text)
    assert found["sdwebui_pictures_total", "kind=txt2img"] == 3
    assert found["sdwebui_request_seconds_count", "kind=txt2img"] == 1
    route = "route=/sdapi/v1/txt2img"
    assert found["sdwebui_http_requests_total", "code=200", "method=POST", route] == 1
    assert found["sdwebui_http_requests_total", "code=422", "method=POST", route] == 1
    assert found["sdwebui_http_requests_total", "code=404", "method=GET", "route=none"] == 3
    assert found["sdwebui_ready",] == 1


def test_the_queue_is_read_when_it_is_asked_for(engine, client):
    """Waiting and running pictures are those of the moment."""
    from webui_image.values.generation import Generation

    engine.hold()
    for count in (1, 3):
        engine.submit(Generation("a", steps=1, count=count), user="x", deliver=lambda _event: None)
    assert engine.wait_until(lambda: engine.status().running == 1)
    found = samples(client.get("/metrics").text)
    assert (found["sdwebui_running_pictures",], found["sdwebui_queue_pictures",]) == (1, 3)


def test_what_the_engine_reports_is_shown():
    """Batches, waits, phases, loads and memory have their names and units."""
    metrics = Metrics()
    metrics.batch(4, 0.2)
    metrics.batch(2, 0.1)
    metrics.waited(1.5)
    metrics.phase("importing", 3.25)
    metrics.model_loaded("shapes", 0.5)
    metrics.memory(100, 400)
    metrics.about(version="1", region="us-central1")
    found = samples(metrics.text().decode())
    assert found["sdwebui_steps_total",] == 6
    assert (found["sdwebui_batch_size_sum",], found["sdwebui_batch_size_count",]) == (6, 2)
    assert found["sdwebui_queue_wait_seconds_sum",] == 1.5
    assert found["sdwebui_start_seconds", "phase=importing"] == 3.25
    assert found["sdwebui_model_load_seconds_sum", "model=shapes"] == 0.5
    assert found["sdwebui_device_memory_bytes", "what=used"] == 100
    assert found["sdwebui_info", "region=us-central1", "version=1"] == 1
    assert metrics.device_memory == (100, 400)


def test_memory_is_told_to_clients_too(server, client):
    """A1111's memory call has the device's figures once there are some."""
    assert client.get("/sdapi/v1/memory").json()["cuda"] == {"error": "unavailable"}
    server.metrics.memory(100, 400)
    assert client.get("/sdapi/v1/memory").json()["cuda"]["system"] == {"free": 300, "used": 100, "total": 400}


@pytest.fixture
def lines():
    """Set logging up and read its lines."""
    stream = io.StringIO()

    def configure(**fields):
        logs.configure(Settings(**fields), stream)

    def read():
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield configure, read
    logs.configure(Settings(log_level="warning"))


def test_an_answer_is_one_line(start, lines):
    """The access log has route, status, duration and a hash of the user, and neither prompt nor key."""
    configure, read = lines
    key = "0123456789abcdef-key"
    access = Access(api_keys=(Key("robot", sha256(key.encode()).hexdigest()),))
    server = start(access=access, place=Place(version="9"))
    configure()
    with server.client(headers={"Authorization": f"Bearer {key}"}) as client:
        client.post("/sdapi/v1/txt2img", json=BODY)
        client.get("/livez")
    found = [line for line in read() if line["message"] == "answered"]
    assert len(found) == 1
    line = found[0]
    assert (line["route"], line["status"], line["method"], line["severity"]) == (
        "/sdapi/v1/txt2img",
        200,
        "POST",
        "INFO",
    )
    assert line["seconds"] >= 0
    assert len(line["user"]) == 12
    text = json.dumps(read())
    for secret in ("garden", "weeds", "robot", key):
        assert secret not in text


def test_prompts_are_logged_only_when_asked_for(start, lines):
    """LOG_PROMPTS=1 writes one line with the prompt when its request is taken."""
    configure, read = lines
    server = start(log_prompts=True)
    configure(log_prompts=True)
    with server.client() as client:
        client.post("/sdapi/v1/txt2img", json=BODY)
    taken = [line for line in read() if line["message"] == "request taken"]
    assert [line["prompt"] for line in taken] == ["a secret garden"]
    assert taken[0]["negative_prompt"] == "weeds"


def test_a_prompt_that_reaches_a_logger_is_dropped(lines):
    """Whoever logs a prompt or a secret, the line has none."""
    configure, read = lines
    configure()
    structlog.get_logger().info("x", prompt="garden", authorization="Bearer k", api_key="k", cookie="c", steps=3)
    assert read()[0] | {"time": ""} == {
        "severity": "INFO",
        "message": "x",
        "time": "",
        "authorization": "***",
        "api_key": "***",
        "cookie": "***",
        "steps": 3,
    }


def test_foreign_loggers_write_the_same_lines(lines):
    """A warning of a library comes out as JSON as well."""
    configure, read = lines
    configure()
    logging.getLogger("some.library").warning("beware of %s", "this")
    assert (read()[0]["message"], read()[0]["severity"]) == ("beware of this", "WARNING")


def test_an_unexpected_error_is_logged_once_with_its_stack(start, engine, lines, monkeypatch):
    """The stack is in the log, without local variables, and not in the answer."""
    configure, read = lines
    server = start()
    configure()
    monkeypatch.setattr(engine, "submit", lambda *_args, **_kwargs: 1 / 0)
    with server.client() as client:
        assert client.post("/sdapi/v1/txt2img", json=BODY).status_code == 500
    found = [line for line in read() if line["severity"] == "ERROR"]
    assert len(found) == 1
    assert "ZeroDivisionError" in found[0]["stack_trace"]
    assert "garden" not in found[0]["stack_trace"]
