"""One call after the other, timed, and taken apart where it fails.

A failure stays with whom it belongs to: where memory is short, calls get smaller; a call that fails for all is made for
each picture alone; what still fails is that picture's own fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, TypeVar

import structlog

from webui_image.engine import faults
from webui_image.engine.batching import Call, Work
from webui_image.engine.job import Picture, Stage
from webui_image.engine.planning import Group
from webui_image.values.errors import HandedBack, WebUIError
from webui_image.values.events import Step

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.clock import Clock
    from webui_image.engine.desk import Desk
    from webui_image.engine.doing import Bounds, Doing, Observer
    from webui_image.engine.queue import Queue
    from webui_image.engine.reckoning import Reckoning

__all__ = ["Busy", "Calls"]

_MEMORY_SECONDS = 5.0  # between two reports of the device's memory
_PREVIEW_SHARE = 0.1  # of the time that may go into a picture's previews
_PREVIEW_SECONDS = 0.2  # between two previews of a picture at least
_LOAD = "load"
_LOADING = 10  # times the watchdog that loading a model may take

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Busy:
    """The call that is being made: since when, and how long it may take."""

    since: float
    allowed: float
    what: str


class Calls:
    """Makes calls. For the engine's thread only; `busy` and `broken` may be read from any."""

    def __init__(
        self, doing: Doing, bounds: Bounds, clock: Clock, *, queue: Queue, reckoning: Reckoning, desk: Desk
    ) -> None:
        self._doing = doing
        self._bounds = bounds
        self._clock = clock
        self._queue = queue
        self._reckoning = reckoning
        self._desk = desk
        self.observer: Observer | None = None
        self.busy: Busy | None = None
        self._memory_noted = -inf
        self.broken = ""  # why no call can be made any more

    def make(self, call: Call[Picture]) -> None:
        """Make a call and tell of it; raises nothing that belongs to a picture."""
        for picture in call.prepare:
            self._prepare(picture)
        pictures = [picture for picture in call.pictures if picture.stage is not Stage.OVER]
        if call.work is Work.PREPARE:
            for picture in pictures:
                self._prepare(picture)
        elif call.work is Work.FINISH:
            self._finish(pictures)
        elif pictures:
            # Those just prepared join at once where their prompts turned out to fit.
            joined = [p for p in call.prepare if p.stage is Stage.DENOISING and p.group == pictures[0].group]
            self._step(pictures + joined)

    def _prepare(self, picture: Picture) -> None:
        kind, model = str(Work.PREPARE) if self._doing.ready(picture.group) else _LOAD, picture.group.model
        began = self._clock.monotonic()
        try:
            self._timed(kind, picture.group, 1, lambda: self._doing.prepare(picture))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this picture's
            self._desk.failed(picture, error)
            return
        if kind == _LOAD and self.observer is not None:
            self.observer.model_loaded(model, self._clock.monotonic() - began)

    def _step(self, pictures: list[Picture]) -> None:
        self._note_first_steps(pictures)
        group, rows, before = pictures[0].group, sum(picture.rows for picture in pictures), self._clock.monotonic()
        try:
            failures = self._timed(str(Work.STEP), group, rows, lambda: self._doing.step(pictures))
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody among them caused it
            self._failed_together(pictures, error)
            return
        if self.observer is not None:
            self.observer.batch(len(pictures), self._clock.monotonic() - before)
        self._reckoning.did_fit(group, rows)
        self._charge_own_company(pictures)
        for picture, failure in zip(pictures, failures, strict=True):
            if failure is not None:
                self._desk.failed(picture, failure)
            elif not picture.job.over:
                self._desk.tell(picture.job, self._step_event(picture))

    def _finish(self, pictures: list[Picture]) -> None:
        if not pictures:
            return
        group, count = pictures[0].group, len(pictures)
        try:
            results = self._timed(str(Work.FINISH), group, count, lambda: self._doing.finish(pictures))
        except Exception as error:  # noqa: BLE001 - as above
            if count == 1:
                self._desk.failed(pictures[0], error)
            for picture in pictures if count > 1 else ():
                self._finish([picture])
            return
        self._note_memory(pictures[0])
        for picture, result in zip(pictures, results, strict=True):
            if picture.job.over:
                continue
            if isinstance(result, WebUIError):
                self._desk.fail(picture.job, result)
            else:
                self._desk.complete(picture, result)

    def _failed_together(self, pictures: Sequence[Picture], error: Exception) -> None:
        if faults.lost_device(error):
            self.broken = f"the device is lost: {faults.brief(error)}"
            self._desk.fail_all(HandedBack("the device of this replica failed; send the request again", 1.0))
        elif len(pictures) == 1:
            if not (faults.short_of_memory(error) and self._doing.spare_memory(pictures[0])):
                self._desk.failed(pictures[0], error)
        elif faults.short_of_memory(error):
            rows = self._reckoning.did_not_fit(pictures[0].group, sum(picture.rows for picture in pictures))
            structlog.get_logger().warning("memory is short, fewer pictures a call", rows=rows)
        else:
            for picture in pictures:
                if not picture.job.over:
                    self._step([picture])

    def _note_first_steps(self, pictures: Sequence[Picture]) -> None:
        for job in {picture.job for picture in pictures if picture.job.first_step is None}:
            job.first_step = self._clock.monotonic()
            self._queue.began()
            if self.observer is not None:
                self.observer.waited(job.first_step - job.submitted)

    def _note_memory(self, picture: Picture) -> None:
        now = self._clock.monotonic()
        if self.observer is not None and now - self._memory_noted >= _MEMORY_SECONDS:
            self._memory_noted = now
            self.observer.memory(*self._doing.memory(picture))

    def _charge_own_company(self, pictures: Sequence[Picture]) -> None:
        """Who lets several pictures share calls has them all later than one after the other: at its own expense."""
        rows = Counter[str]()
        for picture in pictures:
            rows[picture.user] += picture.rows
        for picture in pictures:
            if rows[picture.user] > picture.rows:
                together = self._reckoning.call(Work.STEP, picture.group, rows[picture.user])
                alone = self._reckoning.call(Work.STEP, picture.group, picture.rows)
                picture.tag = picture.tag.later(max(0.0, together - alone))

    def _step_event(self, picture: Picture) -> Step:
        steps = picture.job.plan.steps
        return Step(picture.index, picture.steps_done, steps, self._preview(picture))

    def _preview(self, picture: Picture) -> Image.Image | None:
        if not picture.job.generation.previews or picture.sampling is None:
            return None
        now, cost = self._clock.monotonic(), self._reckoning.usual("preview", picture.group, 1)
        if now - picture.previewed < max(_PREVIEW_SECONDS, cost / _PREVIEW_SHARE):
            return None
        picture.previewed = now
        try:
            return self._timed("preview", picture.group, 1, lambda: self._doing.preview(picture))
        except Exception as error:  # noqa: BLE001 - a picture without a preview is still a picture
            structlog.get_logger().warning("preview failed", reason=faults.brief(error))
            return None

    def _timed(self, kind: str, group: Group, size: int, action: Callable[[], R]) -> R:
        least = self._bounds.watchdog * (_LOADING if kind == _LOAD else 1)
        usual = self._reckoning.usual(kind, group, size)
        began = self._clock.monotonic()
        self.busy = Busy(began, max(least, self._bounds.watchdog_factor * usual), kind)
        try:
            result = action()
        finally:
            self.busy = None
        self._reckoning.learn(kind, group, size, self._clock.monotonic() - began)
        return result
