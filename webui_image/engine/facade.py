"""The engine as the rest of the program sees it: `values.ports.Engine` over one worker thread.

The thread starts the model and then serves; everything else only leaves messages for it and reads what it has
written, so that neither a listing nor a health check ever waits for a device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from webui_image.engine.doing import Bounds, Observer
from webui_image.engine.job import Job
from webui_image.engine.planning import plan
from webui_image.engine.registry import Registry
from webui_image.engine.shelf import near
from webui_image.engine.sources import Sources
from webui_image.engine.startup import Startup, warm_up
from webui_image.engine.worker import Worker
from webui_image.values.errors import Invalid, ModelError, NotReady, Unsupported
from webui_image.values.generation import Generation
from webui_image.values.ports import ModelInfo, Named, Phase, Status

if TYPE_CHECKING:
    from webui_image.clock import Clock
    from webui_image.engine.model import LoadedModel
    from webui_image.engine.safety import SafetyPolicy
    from webui_image.values.events import Event
    from webui_image.values.ports import Ticket

__all__ = ["EngineSettings", "Metrics", "StableDiffusion"]

_CLOSE_SECONDS = 10.0
_WHILE_STARTING = 5.0
_REHEARSED_BELOW = 0.25  # seconds of a step; with a slower one, batches are learnt from real requests


class Metrics(Observer, Protocol):
    """What the engine reports; `webui_image.metrics.Metrics` is one."""

    def watch(self, waiting: Callable[[], float], running: Callable[[], float], ready: Callable[[], float]) -> None:
        """Take functions that tell the pictures waiting and being drawn, and readiness (0 or 1)."""
        ...

    def phase(self, name: str, seconds: float) -> None:
        """Hear how long a phase of the start took."""
        ...


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where models are, what computes, and the bounds that are kept."""

    sources: Sources = field(default_factory=Sources)
    device: str = "auto"  # cpu, cuda, cuda:1, mps
    precision: str = "auto"  # fp32, fp16, bf16
    threads: int = 0  # that compute on a CPU; 0: as many as the container has CPUs
    bounds: Bounds = field(default_factory=Bounds)
    deny_file: Path | None = None  # words that no prompt may contain, one a line
    checker_dir: Path | None = None  # a safety checker that looks at every picture


class StableDiffusion:
    """Serves many users from one device."""

    def __init__(self, settings: EngineSettings, *, metrics: Metrics | None, clock: Clock) -> None:
        """Read the listings; raises ModelError for configured places that cannot be. Nothing is loaded yet."""
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._registry = Registry(settings.sources)
        self._startup = Startup(
            settings.sources,
            self._registry,
            clock=clock,
            device=settings.device,
            precision=settings.precision,
            threads=settings.threads,
            warm=self._warm,
        )
        self._policy: SafetyPolicy | None = None
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None
        self._draining = threading.Event()
        if metrics is not None:
            metrics.watch(
                lambda: float(self.status().waiting),
                lambda: float(self.status().running),
                lambda: float(self.status().phase is Phase.READY),
            )

    # Lifecycle

    def start(self) -> None:
        """Begin to import, fetch, load and warm up; returns at once."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def drain(self, grace: float) -> None:
        """Take nothing more; finish what fits into `grace` seconds, hand back the rest; block until then."""
        self._draining.set()
        if self._worker is None:
            self._startup.stop()  # still starting: there is nothing to finish, and its thread ends by itself
            return
        self._worker.drain(self._clock.monotonic() + grace)
        self._end(grace + _CLOSE_SECONDS)

    def close(self) -> None:
        """End at the next step; requests are handed back."""
        self._draining.set()
        self._startup.stop()
        if self._worker is not None:
            self._worker.stop()
            self._end(_CLOSE_SECONDS)

    def _end(self, seconds: float) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _run(self) -> None:
        model = self._startup.run()
        if self._metrics is not None:
            for name, seconds in self._startup.progress.phase_seconds:
                self._metrics.phase(name, seconds)
                if model is not None and name == Phase.LOADING:
                    self._metrics.model_loaded(model.info.name, seconds)
        if model is not None and self._worker is not None and not self._draining.is_set():
            self._worker.run()

    def _warm(self, model: LoadedModel) -> None:
        """Prove the model, then learn what calls of several sizes take."""
        from webui_image.engine.drawing import Drawing
        from webui_image.engine.safety import load_policy

        warm_up(model)
        settings = self._settings
        if settings.deny_file is not None or settings.checker_dir is not None:
            self._policy = load_policy(settings.deny_file, settings.checker_dir)
        drawing = Drawing(self._registry, self._policy.show if self._policy is not None else None)
        worker = Worker(drawing, settings.bounds, self._clock)
        self._rehearse(worker, model.info)
        worker.observe(self._metrics)
        self._worker = worker

    def _rehearse(self, worker: Worker, model: ModelInfo) -> None:
        recommended = model.recommended
        side = min(recommended.native_side, 64) if self._startup.progress.device == "cpu" else recommended.native_side
        drawn = Generation("a circle", width=side, height=side, steps=2, sampler="Euler")
        for count in (1, 4, min(self._settings.bounds.pictures, 8)):
            job = self._job(replace(drawn, count=count), model, "", lambda _event: None, worker)
            if worker.rehearse(job) > _REHEARSED_BELOW:
                return

    # Requests

    def submit(self, generation: Generation, *, user: str, deliver: Callable[[Event], None]) -> Ticket:
        """Take a request; its events go to `deliver`, in order, from the engine's thread.

        Raises QueueFull, NotReady, Invalid and Unsupported (unknown model, sampler, LoRA, upscaler; denied prompt).
        """
        worker = self._worker
        status = self.status()
        if worker is None or status.phase is not Phase.READY:
            detail = f": {status.detail}" if status.detail else ""
            raise NotReady(f"this replica is {status.phase.value}{detail}", _WHILE_STARTING)
        if self._policy is not None:
            self._policy.check(generation)
        if generation.vae.lower() not in {"", "automatic", "none"}:
            raise Unsupported("sd_vae", f"{generation.vae[:60]!r} cannot be chosen; every model is drawn with its own")
        job = self._job(generation, self._registry.resolve(generation.model), user, deliver, worker)
        shelf = self._registry.lora_shelf
        for lora in (lora for each in job.plan.passes for lora in each.loras):
            if shelf.path(lora.name) is None:
                raise Invalid("prompt", f"there is no LoRA {lora.name[:60]!r}; {near(lora.name, shelf.names())}")
        worker.submit(job)
        return job

    def _job(
        self,
        generation: Generation,
        model: ModelInfo,
        user: str,
        deliver: Callable[[Event], None],
        worker: Worker,
    ) -> Job:
        return Job(generation, plan(generation, model), user, deliver, self._clock.monotonic(), worker.wake)

    # Reports

    def status(self) -> Status:
        """Give the state at this moment; never blocks."""
        progress, worker = self._startup.progress, self._worker
        waiting, running = worker.counts if worker is not None else (0, 0)
        success = worker.last_success if worker is not None else None
        phase, detail = self._phase(progress.phase, progress.detail)
        return Status(
            phase=phase,
            detail=detail,
            progress=progress.progress,
            waiting=waiting,
            running=running,
            seconds_since_success=None if success is None else self._clock.monotonic() - success,
            device=progress.device,
            phase_seconds=progress.phase_seconds,
            model=progress.model,
        )

    def _phase(self, phase: Phase, detail: str) -> tuple[Phase, str]:
        worker, thread = self._worker, self._thread
        if worker is not None and worker.wedged:
            return Phase.WEDGED, worker.wedged
        if phase is Phase.FAILED:
            return phase, detail
        if self._draining.is_set():
            return Phase.DRAINING, "taking no more requests"
        if thread is not None and not thread.is_alive():
            return Phase.WEDGED, "the engine's thread has ended"
        if worker is not None and phase is Phase.READY and worker.short_of_memory:
            return Phase.OUT_OF_MEMORY, "the last requests did not fit into the device's memory"
        return phase, detail

    def models(self) -> Sequence[ModelInfo]:
        """Give all models, the default first; none where none can be used."""
        try:
            return self._registry.models()
        except ModelError:
            return ()

    def loras(self) -> Sequence[Named]:
        """Give all LoRAs."""
        return self._registry.loras()

    def embeddings(self) -> Sequence[Named]:
        """Give all textual inversion embeddings."""
        return self._registry.embeddings()
