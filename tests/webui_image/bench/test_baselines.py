"""The two ways to serve that the engine is compared with do what their names say; the requests are strangers'."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

import pytest

from webui_image.bench.engines import Pipeline
from webui_image.bench.requests import arrivals, mixed


@dataclass
class SimulatedClock:
    """Time that passes when somebody waits or draws."""

    now: float = 0.0

    def monotonic(self):
        return self.now

    def wait(self, _event, seconds):
        self.now += seconds
        return False


@dataclass
class Drawn(Pipeline):
    """A pipeline whose calls take a second and a tenth for each picture."""

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    calls: list = field(default_factory=list)

    def __post_init__(self):
        self._clock = self.clock

    def draw(self, requests):
        self.calls.append([request.seed for request in requests])
        self.clock.now += 1.0 + 0.1 * len(requests)
        return [f"picture {request.seed}" for request in requests]


def equal(count):
    return [mixed(1)[0]] * count


def test_one_at_a_time_is_in_the_order_of_arrival():
    """Each request is drawn by itself, after the ones before it."""
    pipeline = Drawn()
    outcome = pipeline.one_at_a_time().serve(mixed(3), [0.2, 0.0, 5.0])
    assert pipeline.calls == [[1001], [1000], [1002]]
    assert outcome.done == pytest.approx([2.2, 1.1, 6.1])
    assert outcome.images == ["picture 1000", "picture 1001", "picture 1002"]


def test_the_window_draws_equal_settings_together_eight_at_most():
    """Requests that agree share a call; a full one does not wait for the window."""
    pipeline = Drawn()
    outcome = pipeline.by_window().serve(equal(10), [0.0] * 10)
    assert [len(call) for call in pipeline.calls] == [8, 2]
    assert max(outcome.done) == pytest.approx(1.8 + 0.0 + 1.2, abs=0.06)


def test_the_window_waits_for_those_who_come_soon():
    """Who arrives within the window joins, who comes later does not."""
    pipeline = Drawn()
    pipeline.by_window().serve(equal(3), [0.0, 0.04, 0.06])
    assert [len(call) for call in pipeline.calls] == [2, 1]


def test_different_settings_do_not_share_a_window():
    """Strangers seldom agree, so that most calls have one picture."""
    pipeline = Drawn()
    pipeline.by_window().serve(mixed(40), [0.0] * 40)
    assert len(pipeline.calls) > 25
    assert sum(len(call) for call in pipeline.calls) == 40


def test_requests_are_mixed_and_the_same_every_time():
    """They differ in steps, scale, sampler and seed, and do not change between runs."""
    requests = mixed(40)
    assert requests == mixed(40)
    assert {request.steps for request in requests} == {8, 10, 12, 16, 20}
    assert {request.cfg_scale for request in requests} == {5.0, 7.0, 7.5}
    assert len({request.sampler for request in requests}) == 4
    assert len({request.seed for request in requests}) == 40


def test_arrivals_are_a_stream_of_the_given_rate():
    """They ascend, come at the given rate on average, and are irregular."""
    times = arrivals(400, 4.0)
    assert times == sorted(times)
    assert 400 / times[-1] == pytest.approx(4.0, rel=0.15)
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) < 0.05 < 0.8 < max([*gaps, -inf])
