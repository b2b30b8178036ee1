"""interrupt, skip, progress and options are the caller's own; going away cancels."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import pytest

from webui_image.server.callers import REMEMBERED, Caller, Callers
from webui_image.server.settings import Limits, Settings

BODY = {"prompt": "a", "width": 64, "height": 64, "steps": 4, "seed": 1}
ADA, BOB = {"X-Forwarded-For": "198.51.100.1"}, {"X-Forwarded-For": "198.51.100.2"}
PROXIED = {"trusted_proxies": (ip_network("127.0.0.0/8"),)}


@pytest.fixture
def shared_by_two(start):
    """Make a server whose callers are told apart by their addresses."""
    return start(**PROXIED)


@pytest.fixture
def pool():
    """Make threads to call from."""
    with ThreadPoolExecutor(8) as made:
        yield made


@pytest.fixture
def draw(shared_by_two, engine, pool):
    """Begin a request and wait until the engine has it."""

    def begin(headers, **fields):
        count = len(engine.submitted)

        def call():
            with shared_by_two.client(headers=headers) as client:
                return client.post("/sdapi/v1/txt2img", json=BODY | fields)

        answer = pool.submit(call)
        assert engine.wait_until(lambda: len(engine.submitted) > count)
        return answer

    return begin


def call(server, method, path, headers, **options):
    with server.client(headers=headers) as client:
        return client.request(method, path, **options)


def test_interrupt_ends_the_callers_request_alone(shared_by_two, engine, draw):
    """Ada's interrupt gives her what there is, and Bob gets all of his."""
    engine.hold()
    adas, bobs = draw(ADA, n_iter=4), draw(BOB)
    assert call(shared_by_two, "POST", "/sdapi/v1/interrupt", ADA).json() == {}
    assert adas.result().status_code == 200
    assert len(adas.result().json()["images"]) == 1
    assert json.loads(adas.result().json()["info"])["interrupted"] is True
    engine.release()
    assert len(bobs.result().json()["images"]) == 1
    assert not engine.submitted[1].interrupted


def test_interrupt_of_another_does_nothing(shared_by_two, engine, draw):
    """Bob cannot stop Ada."""
    engine.hold()
    adas = draw(ADA)
    call(shared_by_two, "POST", "/sdapi/v1/interrupt", BOB)
    assert not engine.submitted[0].interrupted
    engine.release()
    assert adas.result().status_code == 200


def test_skip_goes_on_with_the_next_picture(shared_by_two, engine, draw):
    """Skipping leaves the picture as it is, and the others are drawn."""
    engine.hold()
    adas = draw(ADA, n_iter=3)
    assert engine.wait_until(lambda: not engine.idle)
    assert call(shared_by_two, "POST", "/sdapi/v1/skip", ADA).json() is None
    engine.release()
    assert len(adas.result().json()["images"]) == 3


def test_a_task_id_tells_requests_of_one_caller_apart(shared_by_two, engine, draw):
    """With force_task_id one of several is interrupted."""
    engine.hold()
    first, second = draw(ADA, force_task_id="one"), draw(ADA, force_task_id="two")
    call(shared_by_two, "POST", "/sdapi/v1/interrupt", ADA, params={"task_id": "two"})
    assert [ticket.interrupted for ticket in engine.submitted] == [False, True]
    engine.release()
    assert {first.result().status_code, second.result().status_code} == {200}


def test_progress_is_the_callers_own(shared_by_two, engine, draw):
    """Ada sees how far hers is, with a preview; Bob, who asked for nothing, sees nothing."""
    engine.step_seconds = 0.02
    adas = draw(ADA, steps=60, force_task_id="mine")
    while True:
        seen = call(shared_by_two, "GET", "/sdapi/v1/progress", ADA).json()
        if seen["state"]["sampling_step"] >= 2:
            break
    assert 0 < seen["progress"] < 1
    assert seen["eta_relative"] > 0
    assert (seen["state"]["job_count"], seen["state"]["sampling_steps"], seen["current_task"]) == (1, 60, "mine")
    assert seen["current_image"].startswith("iVBOR")
    plain = call(shared_by_two, "GET", "/sdapi/v1/progress?skip_current_image=true", ADA).json()
    assert plain["current_image"] is None
    bobs = call(shared_by_two, "GET", "/sdapi/v1/progress", BOB).json()
    assert (bobs["progress"], bobs["state"]["job_count"], bobs["current_image"]) == (0.0, 0, None)
    call(shared_by_two, "POST", "/sdapi/v1/interrupt", ADA)
    assert adas.result().status_code == 200
    assert call(shared_by_two, "GET", "/sdapi/v1/progress", ADA).json()["progress"] == 0.0


def test_who_waits_is_told_that_something_is_being_done(shared_by_two, engine, draw):
    """A queued request shows progress above 0 and its place, since clients take 0 for idle."""
    engine.hold()
    adas, bobs = draw(ADA), draw(BOB)
    assert engine.wait_until(lambda: engine.status().running == 1)
    carols = draw(BOB | {"X-Forwarded-For": "198.51.100.3"})
    seen = call(shared_by_two, "GET", "/sdapi/v1/progress", {"X-Forwarded-For": "198.51.100.3"}).json()
    assert seen["progress"] > 0
    assert seen["textinfo"] == "1 before it"
    engine.release()
    assert {each.result().status_code for each in (adas, bobs, carols)} == {200}


def test_the_default_model_is_the_callers_own(shared_by_two, engine):
    """Ada's choice of a model changes nothing for Bob."""
    call(shared_by_two, "POST", "/sdapi/v1/options", ADA, json={"sd_model_checkpoint": "dream"})
    for who in (ADA, BOB):
        call(shared_by_two, "POST", "/sdapi/v1/txt2img", who, json=BODY)
    assert [ticket.generation.model for ticket in engine.submitted] == ["dream", "shapes"]


def leave(server, path, body):
    """Send a request and close the connection without reading the answer."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(f"{head}\r\n\r\n".encode() + data)
    return connection


@pytest.mark.parametrize("when", ["while-drawing", "while-waiting"])
def test_a_client_that_goes_away_cancels_its_request(server, engine, when, capsys):
    """Closing the connection of a blocking call frees the engine."""
    engine.hold()
    others = []
    if when == "while-waiting":
        others.append(leave(server, "/sdapi/v1/txt2img", BODY))
        assert engine.wait_until(lambda: len(engine.submitted) == 1)
    mine = len(engine.submitted)
    connection = leave(server, "/sdapi/v1/txt2img", BODY)
    assert engine.wait_until(lambda: len(engine.submitted) > mine)
    connection.close()
    assert engine.wait_until(lambda: engine.submitted[mine].cancelled)
    for other in others:
        assert not engine.submitted[0].cancelled
        other.close()
    assert engine.wait_until(lambda: engine.submitted[0].cancelled)
    with server.client() as client:
        text = client.get("/metrics").text
    assert 'reason="cancelled"' in text
    assert 'code="499"' in text
    assert 'code="500"' not in text
    assert capsys.readouterr().err == ""


def test_a_request_that_takes_too_long_is_ended(start, engine):
    """After the limit the answer is 504, and the engine is free."""
    with start(limits=Limits(request_seconds=0.2)).client() as client:
        engine.hold()
        answer = client.post("/sdapi/v1/txt2img", json=BODY)
        assert answer.status_code == 504
        assert "0.2 s" in answer.json()["errors"]
        assert engine.wait_until(lambda: engine.submitted[0].cancelled)


def test_options_of_many_callers_are_bounded():
    """Those set longest ago are forgotten first."""
    callers = Callers(Settings())
    for number in range(REMEMBERED + 10):
        callers.set_options(Caller(f"user{number}", authenticated=True), {"sd_vae": "x"})
    assert callers.options(Caller("user0", authenticated=True)) == {}
    assert callers.options(Caller(f"user{REMEMBERED + 9}", authenticated=True)) == {"sd_vae": "x"}


def test_nothing_remains_of_a_request_that_is_over(server, engine, client):
    """Callers are forgotten with their last request."""
    for fields in ({}, {"n_iter": 2}):
        assert client.post("/sdapi/v1/txt2img", json=BODY | fields).status_code == 200
    assert list(server.app.state.context.callers.everything()) == []
    assert len(engine.submitted) == 2
