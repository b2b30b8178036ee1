"""Many slow things at once, each with its own patience."""

import threading

import pytest

from controlplane.clock import SystemClock
from controlplane.engine.fanout import Fanout
from controlplane.gateways.errors import DeadlineExceeded, Throttled


def test_results_and_errors_come_by_key():
    """Each task has its own outcome."""
    fanout = Fanout(SystemClock())

    def fails():
        raise Throttled("slow down")

    fanout.start("good", lambda: 1, seconds=60)
    fanout.start("bad", fails, seconds=60)
    fanout.wait(["good", "bad"])
    assert fanout.result("good") == 1
    assert fanout.error("good") is None
    assert isinstance(fanout.error("bad"), Throttled)


def test_one_that_hangs_costs_its_own_time_only():
    """The others are there at once, the hanging one is DeadlineExceeded, and its late result is dropped."""
    release = threading.Event()
    fanout = Fanout(SystemClock())
    for key, seconds in (("hangs", 600), ("is late", 0.05)):
        fanout.start(key, release.wait, seconds=seconds)
    for number in range(20):
        fanout.start(number, lambda number=number: number, seconds=60)
    fanout.wait(range(20))
    fanout.wait(["is late"])
    release.set()
    fanout.wait(["hangs"])
    assert isinstance(fanout.error("is late"), DeadlineExceeded)
    assert fanout.result("hangs") is True
    assert [fanout.result(number) for number in range(20)] == list(range(20))


def test_tasks_are_daemons():
    """A task that never ends does not keep the process alive."""
    release, seen = threading.Event(), []

    def task():
        seen.append(threading.current_thread().daemon)
        release.wait()

    fanout = Fanout(SystemClock())
    fanout.start("x", task, seconds=0.05)
    fanout.wait(["x"])
    release.set()
    assert seen == [True]


def test_a_bug_is_raised_and_not_taken_for_an_outage():
    """An error of the program is no reason to call a cluster Unknown."""
    fanout = Fanout(SystemClock())
    fanout.start("bug", lambda: {}["missing"], seconds=60)
    fanout.wait(["bug"])
    with pytest.raises(KeyError):
        fanout.error("bug")
