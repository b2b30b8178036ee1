"""Parts of the HTTP face that a real old server cannot be asked about."""

import asyncio
import json

import pytest

from controlplane.localcloud.apiserver import store as store_module
from controlplane.localcloud.clock import settle

MAPS = "/api/v1/namespaces/default/configmaps"


def test_continue_after_the_history_is_gone(server, api, call, monkeypatch):
    """A continue token that is too old is 410 with a token for going on inconsistently, and that one works."""
    monkeypatch.setattr(store_module, "HISTORY", 3)
    for name in "abc":
        api.create("configmaps", {"metadata": {"name": name}}, "default")
    first = asyncio.run(call("GET", f"{MAPS}?limit=1"))[2]
    for number in range(6):
        api.patch("configmaps", "c", {"data": {"n": str(number)}}, "default")
    status, _, body = asyncio.run(call("GET", f"{MAPS}?limit=1&continue={first['metadata']['continue']}"))
    assert (status, body["reason"]) == (410, "Expired")
    rest = asyncio.run(call("GET", f"{MAPS}?continue={body['metadata']['continue']}"))[2]
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c"]


def test_watch_too_old(server, api, call, monkeypatch):
    """A watch from a forgotten version is 410 Expired."""
    monkeypatch.setattr(store_module, "HISTORY", 3)
    for number in range(6):
        api.create("configmaps", {"metadata": {"name": f"c{number}"}}, "default")
    status, _, body = asyncio.run(call("GET", f"{MAPS}?watch=true&resourceVersion=2&timeoutSeconds=1"))
    assert (status, body["reason"]) == (410, "Expired")


def test_watch_writes_each_event_as_it_happens(server, api):
    """A stream sends a line when something happens, and ends with the client."""

    async def main():
        lines: list[bytes] = []
        gone = asyncio.Event()

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            lines.extend(line for line in message.get("body", b"").split(b"\n") if line)

        headers = [(b"authorization", b"Bearer admin")]
        query = b"watch=1&resourceVersion=" + str(server.core.store.rv).encode()
        scope = {"type": "http", "method": "GET", "path": MAPS, "query_string": query, "headers": headers}
        task = asyncio.create_task(server.app(scope, receive, send))
        await settle()
        assert lines == []
        api.create("configmaps", {"metadata": {"name": "a"}}, "default")
        await settle()
        assert [json.loads(line)["type"] for line in lines] == ["ADDED"]
        gone.set()
        await asyncio.wait_for(task, 60)

    asyncio.run(main())


def test_all_watches_end_with_the_server(server):
    """Closing the server ends the streams."""

    async def main():
        async def receive():
            await asyncio.Event().wait()

        async def send(message):
            pass

        headers = [(b"authorization", b"Bearer admin")]
        scope = {"type": "http", "method": "GET", "path": MAPS, "query_string": b"watch=1", "headers": headers}
        task = asyncio.create_task(server.app(scope, receive, send))
        await settle()
        server.close()
        await asyncio.wait_for(task, 60)

    asyncio.run(main())


@pytest.mark.parametrize("accept", ["application/yaml", "application/json;q=0.9,*/*"])
def test_other_accept_headers(call, accept):
    """YAML is answered where it is asked for, and quality values do no harm."""
    status, headers, _ = asyncio.run(call("GET", "/api/v1/namespaces/default", accept=accept))
    assert status == 200
    assert headers["content-type"] == ("application/yaml" if "yaml" in accept else "application/json")


def test_no_token_no_answer(server, call_as):
    """Without a valid token there is 401, also for discovery."""
    server.core._authenticate = lambda token: None
    assert asyncio.run(call_as("x")("GET", "/apis"))[0] == 401
    assert asyncio.run(call_as("x")("GET", "/readyz"))[0] == 200


def test_impersonation(server, call):
    """An administrator may ask as somebody else, who has only what roles give."""
    status = asyncio.run(call("GET", "/api/v1/nodes", **{"impersonate-user": "somebody"}))[0]
    assert status == 403


def test_fresh_custom_resource_is_in_every_discovery(api, call):
    """A definition shows at once in both discovery formats and in OpenAPI."""
    spec = {
        "group": "example.com", "scope": "Cluster",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing", "shortNames": ["th"]},
        "versions": [{"name": "v1", "served": True, "storage": True,
                      "schema": {"openAPIV3Schema": {"type": "object"}}}],
    }  # fmt: skip
    crd = {"metadata": {"name": "things.example.com"}, "spec": spec}
    api.create("customresourcedefinitions.apiextensions.k8s.io", crd)
    legacy = asyncio.run(call("GET", "/apis/example.com/v1"))[2]
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    groups = asyncio.run(call("GET", "/apis", accept=accept))[2]["items"]
    index = asyncio.run(call("GET", "/openapi/v3"))[2]["paths"]
    assert legacy["resources"][0]["shortNames"] == ["th"]
    assert "example.com" in [one["metadata"]["name"] for one in groups]
    assert "apis/example.com/v1" in index
