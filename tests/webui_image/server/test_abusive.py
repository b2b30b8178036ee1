"""What nobody should send is refused at once, by name, and the server goes on."""

import time

import pytest

from webui_image.bench.abusive import ABUSES, Abuse

ALLOWED_SECONDS = 0.05


@pytest.fixture(scope="module")
def client(shared):
    """Make one client: a new connection is not what is measured."""
    with shared.client() as made:
        yield made


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.name.replace(" ", "-"))
def test_refused_by_name_and_at_once(client, shared, abuse: Abuse, least_seconds):
    """The answer is the right 4xx, names what is wrong, comes within 50 ms, and the engine hears nothing of it."""
    body = abuse.body()
    client.post("/sdapi/v1/txt2img", json={"steps": -1})
    client.post("/sdapi/v1/img2img", json={"steps": -1})
    answers = []

    def ask():
        answers.append(client.post(abuse.path, content=body, headers={"Content-Type": abuse.content_type}))

    # Of the client and the server together.
    seconds = least_seconds(ask, within=ALLOWED_SECONDS, clock=time.process_time)
    answer = answers[-1]
    assert answer.status_code == abuse.status, answer.text
    assert abuse.names in answer.json()["errors"]
    assert answer.json()["detail"]
    assert seconds < ALLOWED_SECONDS
    assert not shared.engine.submitted
    assert client.get("/livez").status_code == 200


def test_there_are_forty():
    """The list has the forty that the figure speaks of, all different."""
    assert len(ABUSES) == len({abuse.name for abuse in ABUSES}) == 40


def test_a_body_without_a_length_is_counted_as_it_comes(shared, client):
    """A client that streams more than is accepted is refused too, although it never told a length."""
    limit = shared.app.state.context.settings.limits.body_bytes

    def parts():
        for _ in range(limit // 1_000_000 + 2):
            yield b" " * 1_000_000

    answer = client.post("/sdapi/v1/txt2img", content=parts(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert client.get("/livez").status_code == 200
