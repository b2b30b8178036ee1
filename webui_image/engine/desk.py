"""Where requests leave the engine: each with exactly one last word, whatever happened to it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import structlog

from webui_image.engine import faults
from webui_image.engine.job import Job, Picture, Stage
from webui_image.values.errors import HandedBack, OutOfMemory, WebUIError
from webui_image.values.events import Event, Failed, Finished, PictureDone

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.clock import Clock
    from webui_image.engine.queue import Queue

__all__ = ["Desk"]

_MEMORY_FAILURES = 3  # in a row, after which no more requests are taken for a while
_MEMORY_SECONDS = 20.0


class Desk:
    """Tells users; for the engine's thread only, but for the two reports."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._no_memory, self._no_memory_at = 0, -inf  # failures in a row, and when the last was
        self.last_success: float | None = None  # when a picture was last done

    @property
    def short_of_memory(self) -> bool:
        """Whether request after request does not fit into memory, just now."""
        recent = self._clock.monotonic() - self._no_memory_at < _MEMORY_SECONDS
        return recent and self._no_memory >= _MEMORY_FAILURES

    def tell(self, job: Job, event: Event) -> None:
        """Deliver an event; a listener's own fault is logged."""
        try:
            job.deliver(event)
        except Exception:  # noqa: BLE001 - whatever a listener does, the engine goes on
            structlog.get_logger().exception("an event could not be delivered")

    def complete(self, picture: Picture, image: Image.Image) -> None:
        """Hand over a picture, and end its job where it was the last."""
        picture.stage, picture.latents = Stage.OVER, None
        self._no_memory = 0
        self.last_success = self._clock.monotonic()
        self._queue.serve(picture.user, self.last_success)
        seeds, drawn_at = picture.seeds, picture.job.plan.drawn_at
        done = PictureDone(picture.index, image, seeds.seed, seeds.variation_seed, picture.partial, drawn_at)
        self.tell(picture.job, done)
        self.end_if_complete(picture.job)

    def end_if_complete(self, job: Job) -> None:
        """Say that a job is finished, where all its pictures are over."""
        if not job.over and all(picture.stage is Stage.OVER for picture in job.pictures):
            seconds, info = self._clock.monotonic() - job.submitted, job.plan.model
            self.end(job, Finished(job.generation, info.name, info.sha256[:10], seconds, job.interrupted))

    def failed(self, picture: Picture, error: BaseException) -> None:
        """Fail a picture's job with what went wrong, in words that its user can use."""
        if picture.job.over:
            return
        if isinstance(error, WebUIError):
            self.fail(picture.job, error)
        elif faults.short_of_memory(error):
            why = "the device has no memory for this request even alone: ask for a smaller size"
            self.fail(picture.job, OutOfMemory(why))
        else:
            structlog.get_logger().warning("picture failed", reason=faults.brief(error), exc_info=error)
            self.fail(picture.job, WebUIError(f"drawing failed: {faults.brief(error)}"))

    def fail(self, job: Job, error: WebUIError) -> None:
        """End a job with an error."""
        if isinstance(error, OutOfMemory):
            self._no_memory, self._no_memory_at = self._no_memory + 1, self._clock.monotonic()
        self.end(job, Failed(error))

    def fail_all(self, error: WebUIError) -> None:
        """End all jobs with one error."""
        for job in list(self._queue.jobs):
            self.fail(job, error)

    def hand_back(self, job: Job) -> None:
        """Tell that a job is to be sent again, to another replica."""
        self.fail(job, HandedBack("this replica is going away; send the request again", 1.0))

    def end(self, job: Job, event: Event) -> None:
        """Say the last word about a job, and forget it and its tensors."""
        if job.over:
            return
        for picture in job.pictures:
            picture.stage, picture.sampling, picture.latents = Stage.OVER, None, None
        self._queue.remove(job)
        job.shared.clear()
        job.conditionings.clear()
        self.tell(job, event)
