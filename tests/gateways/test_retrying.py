"""The one retry policy: how often, how long, and whose chance."""

import pytest

from controlplane.gateways import errors, retrying
from controlplane.gateways.retrying import Retrying


class Clock:
    def __init__(self):
        self.waited = []

    def monotonic(self):
        return sum(self.waited)

    def sleep(self, seconds):
        self.waited.append(round(seconds, 6))


def failing(error, times):
    left = iter([error] * times)

    def call():
        for found in left:
            raise found
        return "answer"

    return call


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.0])
def test_waits_grow_and_are_spread_by_the_clock_modules_chance(monkeypatch, factor):
    """Two callers do not retry in step; the factor is drawn in the one place of chance."""
    monkeypatch.setattr(retrying, "jitter", lambda _spread: factor)
    clock = Clock()
    policy = Retrying(attempts=4, patience=60, first_wait=0.2, clock=clock)
    assert policy.read(failing(errors.ServerFault("500"), 3)) == "answer"
    assert clock.waited == [round(wait * factor, 6) for wait in (0.2, 0.4, 0.8)]


def test_a_server_that_names_a_time_is_given_it(monkeypatch):
    """Retry-After stands as it is."""
    monkeypatch.setattr(retrying, "jitter", lambda _spread: 2.0)
    clock = Clock()
    asked = errors.Throttled("429", retry_after=3.0)
    assert Retrying(clock=clock).read(failing(asked, 1)) == "answer"
    assert clock.waited == [3.0]


def test_patience_is_never_outlived():
    """A wait that would end after it is not begun."""
    clock = Clock()
    with pytest.raises(errors.ServerFault):
        Retrying(attempts=9, patience=1.0, first_wait=0.2, clock=clock).read(failing(errors.ServerFault("500"), 9))
    assert sum(clock.waited) <= 1.0
