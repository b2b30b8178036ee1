"""What probes read, state by state."""

from __future__ import annotations

import pytest

from webui_image.server.settings import Limits, Place
from webui_image.values.ports import Phase

STATES = {  # startupz, readyz, livez
    Phase.STARTING: (503, 503, 200),
    Phase.IMPORTING: (503, 503, 200),
    Phase.DOWNLOADING: (503, 503, 200),
    Phase.LOADING: (503, 503, 200),
    Phase.WARMING: (503, 503, 200),
    Phase.READY: (200, 200, 200),
    Phase.DRAINING: (200, 503, 200),
    Phase.FAILED: (503, 503, 200),
    Phase.OUT_OF_MEMORY: (200, 503, 200),
    Phase.WEDGED: (200, 503, 500),
}


@pytest.mark.parametrize(("phase", "expected"), STATES.items(), ids=[phase.name.lower() for phase in STATES])
def test_each_phase_has_its_answers(client, engine, phase, expected):
    """Loading is not started, trouble is not ready, and only a wedged device is not alive."""
    engine.phase = phase
    found = tuple(client.get(path).status_code for path in ("/startupz", "/readyz", "/livez"))
    engine.phase = Phase.READY
    assert found == expected


def test_every_phase_is_considered():
    """A phase that is added needs an answer here."""
    assert set(STATES) == set(Phase)


def test_startupz_tells_how_far_loading_is(client, engine):
    """Phase, detail and the seconds of the phases before are in the answer."""
    engine.phase, engine.detail = Phase.DOWNLOADING, "12 of 48 MB"
    body = client.get("/startupz").json()
    assert (body["phase"], body["detail"]) == ("downloading", "12 of 48 MB")
    assert body["phase_seconds"] == {"importing": 1.25}


def test_not_ready_before_a_picture_has_succeeded(client, engine):
    """A model in memory is not enough."""
    engine.success = None
    assert client.get("/readyz").json()["reason"] == "no picture has succeeded yet"
    assert client.get("/readyz").status_code == 503


def test_not_ready_with_a_full_queue(start, engine):
    """A replica whose queue is full sends load balancers elsewhere, and comes back when it is drawn."""
    with start(limits=Limits(waiting=2)).client() as client:
        engine.hold()
        tickets = [engine.submit(request(2), user="a", deliver=lambda _event: None) for _ in range(2)]
        assert engine.wait_until(lambda: engine.status().waiting == 2)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, "saturated: 2 pictures wait")
        engine.release()
        assert engine.wait_until(lambda: engine.idle)
        assert client.get("/readyz").status_code == 200
        assert len(tickets) == 2


def request(count):
    from webui_image.values.generation import Generation

    return Generation("a", steps=1, count=count, width=64, height=64)


def test_not_ready_when_nothing_succeeds_any_more(start, engine):
    """With work waiting and no success for long, the replica is not ready; idle for long is no fault."""
    with start(success_seconds=60.0).client() as client:
        engine.success = 61.0
        assert client.get("/readyz").status_code == 200
        engine.hold()
        engine.submit(request(1), user="a", deliver=lambda _event: None)
        assert client.get("/readyz").status_code == 503


def test_every_answer_says_where_it_comes_from(start):
    """Region, GPU and version are in a header that nobody can break out of, also on errors."""
    place = Place("us-central1", "nvidia-l4", "spot", "sd-webui", "pod-1\r\nX-Evil: 1; x", "1.2.3")
    with start(place=place).client() as client:
        for path in ("/livez", "/nowhere"):
            found = client.get(path).headers["x-gpu-hunter"]
            assert found == (
                "region=us-central1; accelerator=nvidia-l4; capacity=spot; version=1.2.3; pod=pod-1__X-Evil:_1__x"
            )
        about = client.get("/about").json()
    assert about | {"pod": ""} == {
        "region": "us-central1",
        "accelerator": "nvidia-l4",
        "capacity": "spot",
        "service": "sd-webui",
        "pod": "",
        "version": "1.2.3",
        "device": "cpu",
        "model": "shapes",
    }


@pytest.mark.parametrize("path", ["/sd/livez", "/sd/sdapi/v1/options", "/livez", "/sdapi/v1/options"])
def test_everything_is_at_the_root_and_under_the_prefix(start, path):
    """Some clients know no prefix, and some load balancers route by one."""
    with start(path_prefix="/sd").client() as client:
        assert client.get(path).status_code == 200
        assert client.get("/sdx/livez").status_code == 404


def test_the_bare_prefix_leads_to_its_slash(start):
    """A page whose addresses are relative needs the slash."""
    with start(path_prefix="/sd").client() as client:
        answer = client.get("/sd")
        assert (answer.status_code, answer.headers["location"]) == (308, "/sd/")


def test_a_prefix_does_not_open_what_is_closed(start):
    """Authentication sees the path without its prefix."""
    from webui_image.server.settings import Access, Key

    access = Access(api_keys=(Key("a", "0" * 64),))
    with start(path_prefix="/sd", access=access).client() as client:
        assert client.get("/sd/livez").status_code == 200
        assert client.get("/sd/sdapi/v1/options").status_code == 401
        assert client.get("/livez/../sdapi/v1/options").status_code in {401, 404}
