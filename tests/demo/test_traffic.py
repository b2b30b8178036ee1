"""The demonstration's reader counts honestly."""

import threading
from collections.abc import Callable

import pytest

from controlplane.clock import SystemClock
from controlplane.demo.tally import percentile
from controlplane.demo.traffic import Traffic

ANSWER = b'{"region": "us-east4", "accelerator": "nvidia-l4", "capacity": "spot"}'
HEADER = {"X-GPU-Hunter": "region=us-east4; accelerator=nvidia-l4; capacity=spot; version=1; pod=a"}


def run(server, requests: int, **options) -> Traffic:
    traffic = Traffic(server.address, SystemClock(), workers=1, pause=0.001, **options)
    traffic.start()
    wait_until(lambda: server.served >= requests)
    return traffic


def wait_until(done: Callable[[], bool]) -> None:
    clock = SystemClock()
    end = clock.monotonic() + 60
    while not done():
        assert clock.monotonic() < end, "the client stopped sending"
        threading.Event().wait(0.01)


@pytest.mark.parametrize(
    ("headers", "body"), [pytest.param({}, ANSWER, id="body"), pytest.param(HEADER, b"<html>", id="header")]
)
def test_good_answers_are_counted_by_who_gave_them(server, headers, body) -> None:
    """Every whole answer counts once, under the region, GPU type and capacity type that it names."""
    server.answer = lambda *_: (200, headers, body)
    tally = run(server, 5).stop()
    assert tally.failed == 0
    assert tally.ok == server.served
    assert tally.regions == {"us-east4 nvidia-l4 spot": tally.ok}


def test_all_paths_are_read_in_turn(server) -> None:
    """Each of the paths gets its share of the requests."""
    seen = []
    server.answer = lambda _number, path, _body: seen.append(path) or (200, HEADER, b"")
    run(server, 6, paths=("/about", "/")).stop()
    assert seen[:4] == ["/about", "/", "/about", "/"]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((503, {}, b"no healthy upstream"), id="error-status"),
        pytest.param((200, {}, b"<html>"), id="not-the-service"),
        pytest.param((200, {}, b"{}"), id="names-no-region"),
        pytest.param((200, {"X-GPU-Hunter": "region=a"}, b""), id="names-no-gpu"),
        pytest.param(None, id="cut"),
    ],
)
def test_anything_but_a_whole_answer_is_a_failure(server, bad) -> None:
    """A wrong status or a foreign body is a failed request, and its reason is kept."""
    server.answer = lambda number, *_: (200, {}, ANSWER) if number % 2 == 0 else bad
    tally = run(server, 6).stop()
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
