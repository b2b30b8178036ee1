"""What sharing steps gains: many strangers at once, a stream near capacity, and one user beside another's burst."""

from __future__ import annotations

import threading
from statistics import median
from typing import TYPE_CHECKING

from webui_image.bench.engines import Pipeline, StepBatching, running
from webui_image.bench.figures import Bench, Figure
from webui_image.bench.requests import SIDE, arrivals, mixed
from webui_image.values.events import Final
from webui_image.values.generation import Generation

if TYPE_CHECKING:
    from webui_image.bench.engines import Serving
    from webui_image.values.events import Event
    from webui_image.values.ports import Engine

__all__ = ["burst_of_one", "burst_of_strangers", "percentile", "stream"]

_AT_ONCE = 40
_STREAMED = 60
_LOAD = 0.9  # of what one at a time can serve
_HEAD_START = 0.2  # seconds of the burst before the other user's request


def burst_of_strangers(bench: Bench) -> list[Figure]:
    """Measure 40 mixed requests at once, served three ways in turn, several times."""
    requests, now = mixed(_AT_ONCE), [0.0] * _AT_ONCE
    with running(bench) as engine:
        pipeline = Pipeline(bench)
        ways: dict[str, Serving] = {
            "serial": pipeline.one_at_a_time(),
            "window_batching": pipeline.by_window(),
            "step_batching": StepBatching(engine, bench.clock),
        }
        for way in ways.values():
            way.serve(requests[:8], now[:8])
        rounds = [{name: way.serve(requests, now).done for name, way in ways.items()} for _ in range(bench.rounds)]
    rates = {name: median(_AT_ONCE / max(each[name]) for each in rounds) for name in ways}
    slowest = {name: median(percentile(each[name], 95) for each in rounds) for name in ways}
    figures = [
        figure
        for name in ways
        for figure in (
            Figure(_shown(name), rates[name], None, "pictures/s", key=("mixed", name, "pictures_per_second")),
            Figure(f"{_shown(name)}, 95th percentile", slowest[name], None, "s", key=("mixed", name, "p95_seconds")),
        )
    ]
    for other, limit in (("serial", 2.5), ("window_batching", 2.0)):
        gains = [max(each[other]) / max(each["step_batching"]) for each in rounds]
        figures.append(
            Figure(
                f"40 mixed requests at once: step batching against {_shown(other)}",
                median(gains),
                limit,
                "times",
                at_least=True,
                detail=f"rounds: {', '.join(f'{gain:.2f}' for gain in gains)}",
            )
        )
    return figures


def stream(bench: Bench) -> list[Figure]:
    """Measure mixed requests that arrive at random, at nine tenths of what one at a time can serve."""
    requests = mixed(_STREAMED, "stream")
    with running(bench) as engine:
        serial = Pipeline(bench).one_at_a_time()
        steps = StepBatching(engine, bench.clock)
        steps.serve(requests[:4], [0.0] * 4)
        serial.serve(requests[:2], [0.0] * 2)
        ratios, found = [], []
        for number in range(max(1, bench.rounds - 1)):
            # Anew each time: what a shared machine can serve changes, and beyond it queues grow without end.
            capacity = 16 / max(serial.serve(requests[:16], [0.0] * 16).done)
            arrive = arrivals(_STREAMED, _LOAD * capacity, f"arrivals {number}")
            latencies = [
                [done - came for done, came in zip(way.serve(requests, arrive).done, arrive, strict=True)]
                for way in (serial, steps)
            ]
            one, other = (percentile(each, 95) for each in latencies)
            ratios.append(other / one)
            found.append(f"{one:.2f} s one at a time, {other:.2f} s by steps")
    return [
        Figure(
            "Poisson arrivals near capacity: 95th percentile against one at a time",
            median(ratios),
            0.5,
            "",
            detail="; ".join(found),
            key=("poisson", "p95_ratio"),
        )
    ]


def burst_of_one(bench: Bench) -> list[Figure]:
    """Measure a single request of one user, alone and beside a burst of 40 of another."""
    burst = [Generation("a red circle", width=SIDE, height=SIDE, steps=12, seed=seed) for seed in range(_AT_ONCE)]
    single = Generation("a blue square", width=SIDE, height=SIDE, steps=12, seed=99)
    ratios = []
    with running(bench) as engine:
        _together(engine, [single], "warm")
        for _ in range(bench.rounds + 2):
            alone = median(_seconds(engine, bench, single) for _ in range(5))
            waiting = _together(engine, burst, "busy", wait=False)
            bench.clock.wait(threading.Event(), _HEAD_START)
            ratios.append(_seconds(engine, bench, single) / alone)
            waiting.wait()
    return [
        Figure(
            "one user's burst of 40: another's single request against its time alone",
            median(ratios),
            2.0,
            "times",
            detail=f"rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}",
            key=("fairness", "ratio"),
        )
    ]


def percentile(values: list[float], percent: int) -> float:
    """Give the smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _seconds(engine: Engine, bench: Bench, request: Generation) -> float:
    begun = bench.clock.monotonic()
    _together(engine, [request], "single")
    return bench.clock.monotonic() - begun


def _together(engine: Engine, requests: list[Generation], user: str, *, wait: bool = True) -> threading.Event:
    over = threading.Event()
    left = [len(requests)]

    def hear(event: Event) -> None:
        if isinstance(event, Final):
            left[0] -= 1
            if left[0] == 0:
                over.set()

    for request in requests:
        engine.submit(request, user=user, deliver=hear)
    if wait:
        over.wait()
    return over


def _shown(name: str) -> str:
    return {"serial": "one at a time", "window_batching": "50 ms window", "step_batching": "step batching"}[name]
