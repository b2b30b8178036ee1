"""All measurements by name, and their figures as a table's rows or as JSON."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from webui_image.bench.figures import Bench, Figure, Measurement
from webui_image.clock import SystemClock
from webui_image.values.errors import WebUIError

__all__ = ["MEASUREMENTS", "UnknownMeasurement", "as_json", "run"]


class UnknownMeasurement(WebUIError):  # noqa: N818
    """There is no measurement of that name; the message says which there are."""


def _help(bench: Bench) -> list[Figure]:
    command = [sys.executable, "-m", "webui_image", "--help"]
    taken = []
    for _ in range(bench.rounds + 2):
        begun = bench.clock.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
        taken.append(bench.clock.monotonic() - begun)
    return [Figure("python -m webui_image --help", min(taken[1:]), 0.4, "s", key=("help_seconds",))]


def _mixed(bench: Bench) -> list[Figure]:
    from webui_image.bench import serving

    return serving.burst_of_strangers(bench)


def _poisson(bench: Bench) -> list[Figure]:
    from webui_image.bench import serving

    return serving.stream(bench)


def _fairness(bench: Bench) -> list[Figure]:
    from webui_image.bench import serving

    return serving.burst_of_one(bench)


def _equality(bench: Bench) -> list[Figure]:
    from webui_image.bench import equality

    return equality.equality(bench)


def _server(bench: Bench) -> list[Figure]:
    from webui_image.bench import http

    return http.server(bench)


def _adherence(bench: Bench) -> list[Figure]:
    from webui_image.bench import pictures

    return pictures.adherence(bench)


def _reading(bench: Bench) -> list[Figure]:
    from webui_image.bench import batches

    return batches.reading(bench)


def _shard(bench: Bench) -> list[Figure]:
    from webui_image.bench import batches

    return batches.shard(bench)


MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement("help", "the command line answers without loading anything", _help),
    Measurement("mixed", "40 mixed requests at once, served three ways", _mixed),
    Measurement("poisson", "mixed requests arriving at random, near capacity", _poisson),
    Measurement("fairness", "a single request beside another user's burst", _fairness),
    Measurement("equality", "every sampler in company against the pipeline alone", _equality),
    Measurement("adherence", "the small model draws what the prompt says", _adherence),
    Measurement("reading", "a parameters file of 10,000 lines", _reading),
    Measurement("shard", "a batch's shard of 50 pictures against the engine alone", _shard),
    Measurement("server", "start, overhead, probes, leaving clients, memory, abusive input", _server),
)


def run(
    only: Sequence[str] = (),
    *,
    report: Callable[[Measurement, list[Figure]], None] = lambda _measurement, _figures: None,
    model: Path | None = None,
    rounds: int = 3,
) -> list[Figure]:
    """Measure, one after the other; `report` hears of each when it is done.

    `model` is a pipeline directory; by default the shipped model, or random weights of its shape where it has none yet.
    Raises UnknownMeasurement for a name in `only` that there is not.
    """
    wanted = _wanted(only)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="webui-bench-") as scratch:
        bench = _bench(Path(scratch), model, rounds)
        for measurement in wanted:
            found = measurement.measure(bench)
            report(measurement, found)
            figures += found
    return figures


def as_json(figures: Iterable[Figure]) -> dict[str, Any]:
    """Give the figures as one JSON object: by key, as `mixed.serial.p95_seconds`, and all of them in a list."""
    document: dict[str, Any] = {}
    figures = list(figures)
    for figure in figures:
        if figure.key:
            place = document
            for part in figure.key[:-1]:
                place = place.setdefault(part, {})
            place[figure.key[-1]] = round(figure.value, 4)
    document["figures"] = [figure.as_dict() for figure in figures]
    return document


def _wanted(only: Sequence[str]) -> list[Measurement]:
    names = {measurement.name: measurement for measurement in MEASUREMENTS}
    unknown = [name for name in only if name not in names]
    if unknown:
        raise UnknownMeasurement(f"there is no measurement {unknown[0]!r}; there are {', '.join(names)}")
    return [measurement for measurement in MEASUREMENTS if not only or measurement.name in only]


def _bench(scratch: Path, model: Path | None, rounds: int) -> Bench:
    from webui_image.demo_model import WEIGHTS

    if model is None and (WEIGHTS / "model_index.json").is_file():
        return Bench(WEIGHTS, scratch, SystemClock(), rounds)
    if model is None:
        from webui_image.demo_model.architecture import untrained

        model = scratch / "untrained"
        untrained(model)
        return Bench(model, scratch, SystemClock(), rounds, trained=False)
    return Bench(model, scratch, SystemClock(), rounds)
