"""Three ways to serve the same requests with the same model: one at a time, by a time window, and by steps.

The first two exist here alone, to be compared with. One at a time is what other web UIs do: a lock around the
pipeline. The window waits 50 ms after the first request, then draws those with equal settings in one call of the
pipeline, eight at most; it cannot do more, since a pipeline draws all its pictures with one sampler and number of
steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from webui_image.values.events import Failed, Final, PictureDone

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.bench.figures import Bench
    from webui_image.clock import Clock
    from webui_image.values.events import Event
    from webui_image.values.generation import Generation
    from webui_image.values.ports import Engine

__all__ = ["Outcome", "Pipeline", "Serving", "StepBatching", "running"]

_WINDOW_SECONDS = 0.05
_WINDOW_MOST = 8
_START_SECONDS = 300.0


class NotStartedError(RuntimeError):
    """The engine did not come up."""


@dataclass(slots=True)
class Outcome:
    """When each request was done, in seconds from the start, and its first picture."""

    done: list[float]
    images: list[Image.Image]


class Serving(Protocol):
    """A way to serve requests."""

    def serve(self, requests: Sequence[Generation], arrive: Sequence[float]) -> Outcome:
        """Serve requests that arrive at these seconds from now; block until all are done."""
        ...


class Pipeline:
    """diffusers' own pipeline over the model, one call at a time."""

    def __init__(self, bench: Bench) -> None:
        import torch
        from diffusers import StableDiffusionPipeline

        from webui_image.engine.loading import silence_libraries

        silence_libraries()
        self.pipe: Any = StableDiffusionPipeline.from_pretrained(
            str(bench.model), safety_checker=None, requires_safety_checker=False, dtype=torch.float32
        )
        self.pipe.set_progress_bar_config(disable=True)
        self._config = dict(self.pipe.scheduler.config)
        self._clock = bench.clock

    def draw(self, requests: Sequence[Generation]) -> list[Image.Image]:
        """Draw requests that agree in everything but prompt and seed."""
        import diffusers
        import torch

        from webui_image.engine.samplers import resolve

        first = requests[0]
        choice = resolve(first.sampler, first.scheduler, first.eta)
        scheduler_class = getattr(diffusers, choice.scheduler_class)
        self.pipe.scheduler = scheduler_class.from_config(self._config, **dict(choice.options))
        images: list[Image.Image] = self.pipe(
            [request.prompt for request in requests],
            negative_prompt=[request.negative_prompt for request in requests],
            width=first.width,
            height=first.height,
            num_inference_steps=first.steps,
            guidance_scale=first.cfg_scale,
            guidance_rescale=first.guidance_rescale or 0.0,
            generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
        ).images
        return images

    def one_at_a_time(self) -> Serving:
        """Serve in the order of arrival, one after the other."""
        return _Calls(self, self._clock, window=0.0, most=1)

    def by_window(self) -> Serving:
        """Serve those with equal settings together that arrive within a window."""
        return _Calls(self, self._clock, window=_WINDOW_SECONDS, most=_WINDOW_MOST)


@dataclass(slots=True)
class _Calls:
    pipeline: Pipeline
    clock: Clock
    window: float
    most: int
    never: threading.Event = field(default_factory=threading.Event)

    def serve(self, requests: Sequence[Generation], arrive: Sequence[float]) -> Outcome:
        begun = self.clock.monotonic()
        left = sorted(range(len(requests)), key=arrive.__getitem__)
        outcome = Outcome([0.0] * len(requests), [None] * len(requests))  # type: ignore[list-item]
        while left:
            first = left[0]
            self._wait_until(begun + arrive[first])
            if self.window and len(self._together(requests, arrive, left, begun)) < self.most:
                self._wait_until(begun + arrive[first] + self.window)
            together = self._together(requests, arrive, left, begun)
            images = self.pipeline.draw([requests[at] for at in together])
            for at, image in zip(together, images, strict=True):
                outcome.done[at], outcome.images[at] = self.clock.monotonic() - begun, image
                left.remove(at)
        return outcome

    def _together(
        self, requests: Sequence[Generation], arrive: Sequence[float], left: list[int], begun: float
    ) -> list[int]:
        now = self.clock.monotonic() - begun
        wanted = _settings(requests[left[0]])
        return [at for at in left if arrive[at] <= now and _settings(requests[at]) == wanted][: self.most]

    def _wait_until(self, moment: float) -> None:
        seconds = moment - self.clock.monotonic()
        if seconds > 0:
            self.clock.wait(self.never, seconds)


class StepBatching:
    """The engine, each request from a user of its own."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._never = threading.Event()

    def serve(self, requests: Sequence[Generation], arrive: Sequence[float]) -> Outcome:
        """Submit each when it arrives; block until all are done. Raises what a request failed with."""
        begun = self._clock.monotonic()
        outcome = Outcome([0.0] * len(requests), [None] * len(requests))  # type: ignore[list-item]
        watching = _Watching(len(requests))

        def listener(at: int) -> Callable[[Event], None]:
            def hear(event: Event) -> None:
                if isinstance(event, PictureDone):
                    outcome.images[at] = event.image
                elif isinstance(event, Final):
                    outcome.done[at] = self._clock.monotonic() - begun
                    watching.over(event)

            return hear

        for at in sorted(range(len(requests)), key=arrive.__getitem__):
            seconds = begun + arrive[at] - self._clock.monotonic()
            if seconds > 0:
                self._clock.wait(self._never, seconds)
            self._engine.submit(requests[at], user=f"user {at}", deliver=listener(at))
        watching.wait()
        return outcome


class _Watching:
    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._failure: Exception | None = None

    def over(self, event: Final) -> None:
        with self._lock:
            self._left -= 1
            if isinstance(event, Failed):
                self._failure = event.error
            if self._left == 0:
                self._done.set()

    def wait(self) -> None:
        self._done.wait()
        if self._failure is not None:
            raise self._failure


@contextmanager
def running(bench: Bench, *, pictures: int = 0, threads: int = 0) -> Iterator[Engine]:
    """Give a started engine over the bench's model; `pictures` in a call at most (0: the engine's own bound)."""
    from webui_image.engine import build
    from webui_image.engine.facade import EngineSettings
    from webui_image.engine.sources import Sources
    from webui_image.engine.worker import Bounds
    from webui_image.values.ports import Phase

    bounds = Bounds(queue=1000, queue_per_user=1000)
    if pictures:
        bounds = Bounds(pictures=pictures, queue=1000, queue_per_user=1000)
    sources = Sources(model_uri=str(bench.model), cache_dir=bench.scratch / "cache")
    engine = build(EngineSettings(sources, device="cpu", threads=threads, bounds=bounds), clock=bench.clock)
    engine.start()
    try:
        never = threading.Event()
        until = bench.clock.monotonic() + _START_SECONDS
        while engine.status().phase is not Phase.READY:
            status = engine.status()
            if status.phase is Phase.FAILED or bench.clock.monotonic() > until:
                raise NotStartedError(f"the engine is {status.phase.value}: {status.detail}")
            bench.clock.wait(never, 0.02)
        yield engine
    finally:
        engine.close()


def _settings(request: Generation) -> tuple[object, ...]:
    return (
        request.width,
        request.height,
        request.steps,
        request.cfg_scale,
        request.sampler,
        request.scheduler,
        request.guidance_rescale,
    )
