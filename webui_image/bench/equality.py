"""Whether pictures drawn in company are the pipeline's own: every sampler, with every schedule type it takes."""

from __future__ import annotations

from dataclasses import replace

from webui_image.bench.engines import Pipeline, StepBatching, running
from webui_image.bench.figures import Bench, Figure
from webui_image.bench.requests import mixed
from webui_image.values.generation import Generation

__all__ = ["equality"]

_STEPS = (6, 9)


def equality(bench: Bench) -> list[Figure]:
    """Draw all combinations in company, and exactly alone, and compare both with the pipeline."""
    import numpy as np

    requests = _every_combination()
    pipeline = Pipeline(bench)
    alone = [np.asarray(pipeline.draw([request])[0], dtype=np.int16) for request in requests]
    now = [0.0] * len(requests)
    with running(bench) as engine:
        serving = StepBatching(engine, bench.clock)
        shared = serving.serve(requests, now).images
        exact = serving.serve([replace(request, exact=True) for request in requests], now).images
    off = [int(np.abs(np.asarray(image, dtype=np.int16) - one).max()) for image, one in zip(shared, alone, strict=True)]
    different = [
        f"{request.sampler} {request.scheduler}"
        for request, image, one in zip(requests, exact, alone, strict=True)
        if not np.array_equal(np.asarray(image, dtype=np.int16), one)
    ]
    worst = max(range(len(requests)), key=off.__getitem__)
    return [
        Figure(
            f"largest difference to the pipeline's picture, {len(requests)} combinations of sampler and schedule",
            float(off[worst]),
            1.0,
            "of 255",
            detail=f"{requests[worst].sampler} {requests[worst].scheduler}" if off[worst] else "",
            key=("largest_difference",),
        ),
        Figure(
            "exact pictures that are not the pipeline's bit for bit",
            float(len(different)),
            0.0,
            f"of {len(requests)}",
            detail=", ".join(different[:5]),
            key=("exact_differences",),
        ),
    ]


def _every_combination() -> list[Generation]:
    from webui_image.engine.samplers import SAMPLERS, SCHEDULERS

    pairs = [
        (sampler.name, kind.label) for sampler in SAMPLERS for kind in SCHEDULERS if kind.label in sampler.schedules
    ]
    return [
        replace(request, sampler=sampler, scheduler=kind, steps=_STEPS[number % 2])
        for number, (request, (sampler, kind)) in enumerate(zip(mixed(len(pairs), "equality"), pairs, strict=True))
    ]
