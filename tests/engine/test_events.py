"""Events about uploads: which file each is about, and what is answered."""

import base64
import json
import threading
import urllib.error
import urllib.request

import pytest

from controlplane.engine.events import LARGEST_BODY, EventServer, address_of
from controlplane.gateways.errors import ServerFault

OBJECT = {"bucket": "art", "name": "inbox/cats.yaml", "generation": "1"}
ENCODED = base64.b64encode(json.dumps(OBJECT).encode()).decode()


@pytest.mark.parametrize(
    ("event", "address"),
    [
        pytest.param(OBJECT, "gs://art/inbox/cats.yaml", id="eventarc"),
        pytest.param({"message": {"data": ENCODED}}, "gs://art/inbox/cats.yaml", id="pubsub data"),
        pytest.param(
            {"message": {"attributes": {"bucketId": "art", "objectId": "inbox/a.csv"}}},
            "gs://art/inbox/a.csv",
            id="pubsub attributes",
        ),
        pytest.param(
            {"Records": [{"s3": {"bucket": {"name": "art"}, "object": {"key": "inbox/a.csv"}}}]},
            "s3://art/inbox/a.csv",
            id="s3",
        ),
        pytest.param(
            {"Records": [{"s3": {"bucket": {"name": "art"}, "object": {"key": "inbox/my+cats%2B1.csv"}}}]},
            "s3://art/inbox/my cats+1.csv",
            id="s3 with a space",
        ),
        pytest.param({"Records": []}, "", id="no records"),
        pytest.param({"bucket": 7, "name": []}, "", id="no texts"),
        pytest.param([1], "", id="no object"),
        pytest.param({"message": {"data": "%%%"}}, "", id="not encoded"),
    ],
)
def test_which_file_an_event_is_about(event, address):
    """Whoever delivers it; what makes no sense is about none."""
    assert address_of(json.dumps(event).encode()) == address
    assert address_of(b"\xff\x00") == ""


@pytest.fixture
def post():
    """Serve with what takes files, and give what posts an event."""
    servers = []

    def start(take):
        server = EventServer("127.0.0.1", 0, take)
        threading.Thread(target=server.run, daemon=True).start()
        servers.append(server)

        def send(body, headers=None):
            request = urllib.request.Request(f"http://127.0.0.1:{server.port}/", data=body, headers=headers or {})
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        return send

    yield start
    for server in servers:
        server.close()


def test_an_event_takes_its_file_and_twice_is_told_twice(post):
    """Both are answered with 2xx, so neither is delivered again."""
    asked = []

    def take(uri):
        asked.append(uri)
        return ("cats-1",) if len(asked) == 1 else ()

    send = post(take)
    assert send(json.dumps(OBJECT).encode()) == (200, b'{"batches": ["cats-1"]}')
    assert send(json.dumps(OBJECT).encode()) == (200, b'{"batches": []}')
    assert asked == ["gs://art/inbox/cats.yaml"] * 2


def test_what_cannot_be_reached_now_is_delivered_again(post):
    """503 for that; what makes no sense, or is too large, is not asked for again."""

    def take(uri):
        raise ServerFault("the bucket does not answer")

    send = post(take)
    assert send(json.dumps(OBJECT).encode())[0] == 503
    assert send(b"nonsense")[0] == 204
    assert send(b"x", {"content-length": str(LARGEST_BODY + 1)})[0] == 413
