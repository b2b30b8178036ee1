"""Faults: what goes wrong, for whom, how often."""

import asyncio

import httpx
import pytest

from controlplane.localcloud.clock import SystemClock
from controlplane.localcloud.faults import Fault, with_faults
from controlplane.localcloud.serving import serve

PODS = "/api/v1/namespaces/default/configmaps"


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("403", 403, "Forbidden"),
        ("429", 429, "TooManyRequests"),
        ("500", 500, "InternalError"),
        ("503", 503, "ServiceUnavailable"),
        ("expired-credential", 401, "Unauthorized"),
    ],
)
def test_codes(book, call, kind, code, reason):
    """A fault of a code answers with its Status."""
    book.add(Fault("one", kind, retry_after=7 if kind == "429" else None))
    status, headers, body = asyncio.run(call("GET", PODS))
    assert (status, body["reason"]) == (code, reason)
    assert headers.get("retry-after") == ("7" if kind == "429" else None)


@pytest.mark.parametrize(
    ("fault", "hit"),
    [
        pytest.param(Fault("one", "500"), True, id="everything"),
        pytest.param(Fault("*", "500"), True, id="all endpoints"),
        pytest.param(Fault("two", "500"), False, id="another endpoint"),
        pytest.param(Fault("one", "500", methods=("PATCH",)), False, id="another method"),
        pytest.param(Fault("one", "500", path="/pods"), False, id="another path"),
        pytest.param(Fault("one", "500", path="configmaps"), True, id="this path"),
        pytest.param(Fault("one", "500", probability=0.0), False, id="never"),
    ],
)
def test_whom_it_hits(book, call, fault, hit):
    """Endpoint, method, path and probability choose."""
    book.add(fault)
    assert (asyncio.run(call("GET", PODS))[0] == 500) is hit


def test_times(book, call):
    """A fault that happens twice is over after two requests."""
    book.add(Fault("one", "503", times=2))
    codes = [asyncio.run(call("GET", PODS))[0] for _ in range(3)]
    assert codes == [503, 503, 200]
    assert book.list() == {}


def test_remove_and_clear(book):
    """Faults are removed by id or by endpoint."""
    first = book.add(Fault("one", "500"))
    book.add(Fault("one", "503"))
    book.add(Fault("two", "503"))
    assert book.remove(first)
    assert not book.remove(first)
    assert book.clear("one") == 1
    assert [fault.endpoint for fault in book.list().values()] == ["two"]
    assert book.clear() == 1


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "nonsense"},
        {"probability": 2.0},
        {"times": 0},
        {"seconds": -1.0},
        {"seconds": float("nan")},
        {"path": "("},
    ],
)
def test_nonsense_is_refused(values):
    """A fault that cannot be is refused when it is made."""
    with pytest.raises(ValueError):
        Fault(**{"endpoint": "one", "kind": "500", **values})


def test_latency_takes_virtual_time(book, call, clock):
    """Latency waits on the clock."""
    book.add(Fault("one", "latency", seconds=30))

    async def main():
        task = asyncio.create_task(call("GET", PODS))
        await clock.advance(29)
        before = task.done()
        await clock.advance(2)
        return before, (await task)[0]

    assert asyncio.run(main()) == (False, 200)


def test_lost_answer_commits(book, call, api):
    """An answer that is lost comes after the commit."""
    book.add(Fault("one", "lost-answer", methods=("POST",), times=1))
    assert asyncio.run(call("POST", PODS, {"metadata": {"name": "a"}}))[0] == 0
    assert api.find("configmaps", "a", "default") is not None


def test_cut_does_not_commit(book, call, api):
    """A connection that is cut before the request is handled changes nothing."""
    book.add(Fault("one", "cut"))
    assert asyncio.run(call("POST", PODS, {"metadata": {"name": "a"}}))[0] == 0
    assert api.find("configmaps", "a", "default") is None


def test_stale_reads(book, call, api):
    """Reads show the moment when the fault was added; writes and the truth go on."""
    api.create("configmaps", {"metadata": {"name": "a"}}, "default")
    fault = book.add(Fault("one", "stale-read"))
    api.create("configmaps", {"metadata": {"name": "b"}}, "default")

    def names():
        return [item["metadata"]["name"] for item in asyncio.run(call("GET", PODS))[2]["items"]]

    assert names() == ["a"]
    assert asyncio.run(call("GET", f"{PODS}/b"))[0] == 404
    book.remove(fault)
    assert names() == ["a", "b"]


def test_partial_lists(book, call, api):
    """A partial list leaves half away and says nothing of it."""
    for name in "abcd":
        api.create("configmaps", {"metadata": {"name": name}}, "default")
    book.add(Fault("one", "partial-list"))
    body = asyncio.run(call("GET", PODS))[2]
    assert [item["metadata"]["name"] for item in body["items"]] == ["a", "b"]
    assert "continue" not in body["metadata"]


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault("x", "cut"), httpx.RemoteProtocolError, id="cut"),
        pytest.param(Fault("x", "lost-answer"), httpx.RemoteProtocolError, id="lost answer"),
        pytest.param(Fault("x", "hang"), httpx.ReadTimeout, id="hang"),
    ],
)
def test_over_a_socket(book, fault, error):
    """Over a real socket a client sees a cut connection, or nothing at all."""

    async def main():
        running = await serve(with_faults(hello, book, "x", SystemClock()), "127.0.0.1", 0, None, None)
        url = f"http://127.0.0.1:{running.port}/"
        try:
            async with httpx.AsyncClient(timeout=60) as client:
                assert (await client.get(url)).text == "hello"
                fault_id = book.add(fault)
                with pytest.raises((error, httpx.ReadError)):
                    await client.get(url, timeout=httpx.Timeout(60, read=0.5 if fault.kind == "hang" else 60))
                book.remove(fault_id)
                assert (await client.get(url)).text == "hello"
        finally:
            await running.stop()

    asyncio.run(main())


def test_only_loopback():
    """Nothing is served beyond this machine."""
    with pytest.raises(ValueError, match="no loopback"):
        asyncio.run(serve(hello, "0.0.0.0", 0, None, None))


def test_port_in_use():
    """A port that is taken is an OSError at once."""

    async def main():
        running = await serve(hello, "127.0.0.1", 0, None, None)
        try:
            with pytest.raises(OSError):
                await serve(hello, "127.0.0.1", running.port, None, None)
        finally:
            await running.stop()

    asyncio.run(main())


def test_stop_cuts_open_requests():
    """Stopping frees the port at once although a request hangs, and the same port serves again."""
    asked = asyncio.Event()

    async def forever(scope, receive, send):
        asked.set()
        await asyncio.Event().wait()

    async def main():
        running = await serve(forever, "127.0.0.1", 0, None, None)
        port = running.port
        async with httpx.AsyncClient(timeout=60) as client:
            task = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
            await asked.wait()
            await asyncio.wait_for(running.stop(), 60)
            with pytest.raises(httpx.TransportError):
                await task
            again = await serve(hello, "127.0.0.1", port, None, None)
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "hello"
            await again.stop()

    asyncio.run(main())
