"""The engine's one thread: it owns torch and all models, and makes one call after the other.

Between two calls, and only there, requests come and go: new ones are admitted, cancelled ones dropped, the next call
is chosen anew. A failure stays with whom it belongs to: a call that fails for all is taken apart and made for each
alone. With nothing to do the thread sleeps; it is woken by whoever changes that.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from webui_image.engine.batching import Call, Knowledge, Work, choose
from webui_image.engine.costs import Costs
from webui_image.engine.job import Group, Job, Picture, Stage
from webui_image.engine.queue import Queue
from webui_image.values.errors import HandedBack, NotReady, OutOfMemory, WebUIError
from webui_image.values.events import Cancelled, Event, Failed, Finished, PictureDone, Step

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.clock import Clock

__all__ = ["Bounds", "Busy", "Doing", "Observer", "Worker"]

R = TypeVar("R")

_PREVIEW_SHARE = 0.1  # of the time that may go into a picture's previews
_PREVIEW_SECONDS = 0.2  # between two previews of a picture at least
_ROWS_RETRIED = 200  # calls after which a bound set by a lack of memory is doubled
_MEMORY_FAILURES = 3  # in a row, after which no more requests are taken for a while
_MEMORY_SECONDS = 20.0
_SWITCH = 5.0  # seconds to load a model, until one was loaded
_FAIR = 0.9  # of what equal sharing would take, after which a picture should be done


class Doing(Protocol):
    """Computes: `drawing.Drawing`, or a test's stand-in."""

    def prepare(self, picture: Picture) -> None:
        """Take a picture to the first step of its pass."""
        ...

    def step(self, pictures: Sequence[Picture]) -> list[BaseException | None]:
        """Take pictures one call further; give what failed for each, raise what failed for all."""
        ...

    def finish(self, pictures: Sequence[Picture]) -> Sequence[Image.Image | WebUIError]:
        """Decode pictures."""
        ...

    def preview(self, picture: Picture) -> Image.Image:
        """Draw a picture as it stands."""
        ...

    def give_up(self, picture: Picture) -> None:
        """Take a picture as it stands for its final one."""
        ...

    def ready(self, group: Group) -> bool:
        """Say whether the group's model is in memory with its LoRAs."""
        ...

    def spare_memory(self, picture: Picture) -> bool:
        """Trade time for memory from now on; False where that was done before."""
        ...


class Observer(Protocol):
    """Hears what is worth counting."""

    def waited(self, seconds: float) -> None:
        """Hear that a request's first step begins, so long after its submission."""
        ...

    def batch(self, size: int, seconds: float) -> None:
        """Hear of one call over `size` pictures."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the worker keeps to. Pixels are those of the pictures, not of the latents."""

    pictures: int = 16  # in one call
    pixels: int = 16 * 1024 * 1024  # of all rows of one call: 32 of 512 x 512 with guidance, twice as many as needed
    queue: int = 64  # requests
    queue_per_user: int = 8
    watchdog: float = 60.0  # seconds that a call may take at least before the engine counts as wedged
    watchdog_factor: float = 20.0  # times its usual duration, where that is more


@dataclass(frozen=True, slots=True)
class Busy:
    """The call that is being made: since when, and how long it may take."""

    since: float
    allowed: float
    what: str


class Worker:
    """Takes jobs from any thread; `run` is the engine's thread."""

    def __init__(self, doing: Doing, bounds: Bounds, clock: Clock, observer: Observer | None = None) -> None:
        self._doing = doing
        self._bounds = bounds
        self._clock = clock
        self.observer = observer
        self._condition = threading.Condition()
        self._inbox: list[Job] = []
        self._queue = Queue(bounds.queue, bounds.queue_per_user)
        self._stopped = False
        self._closing: NotReady | None = None
        self._deadline = inf
        self._limits: dict[Group, tuple[int, int]] = {}  # rows, and calls made since
        self._served: dict[str, float] = {}  # when a user's last picture was done
        self.costs = Costs()
        self.busy: Busy | None = None
        self.last_success: float | None = None
        self._no_memory, self._no_memory_at = 0, -inf  # failures in a row, and when the last was
        self.broken = ""  # why no call can be made any more
        self._knowledge: Knowledge[Picture] = Knowledge(
            seconds=self._call_seconds,
            largest=self._largest,
            switch=self._switch_seconds,
            slack=self._slack,
            tried=lambda work, group: self.costs.tried(str(work), _cost_key(group)),
            virtual=self._queue.virtual,
            most=bounds.pictures,
        )

    # From any thread

    def submit(self, job: Job) -> None:
        """Take a job. Raises QueueFull, or NotReady while draining."""
        with self._condition:
            if self._closing is not None:
                raise self._closing
            self._queue.refuse_excess(job.user, self._inbox, self._retry_after())
            self._inbox.append(job)
            self._condition.notify()

    def rehearse(self, job: Job) -> None:
        """Draw a job at once, to learn what its calls take. In the engine's thread, before `run`."""
        self._queue.admit(job, self._seconds_alone(job))
        while not job.over:
            self.turn()
        self._served.clear()

    def step_seconds(self, job: Job) -> float:
        """Estimate one step of one of its pictures alone."""
        return self._call_seconds(Work.STEP, job.plan.group(0, job.vae), 2)

    def wake(self) -> None:
        """Look at the jobs' flags now."""
        with self._condition:
            self._condition.notify()

    def drain(self, deadline: float) -> None:
        """Take nothing more; go on until `deadline` (of the clock) with what fits, hand back the rest."""
        with self._condition:
            self._closing = NotReady("this replica is going away; send the request to another", 1.0)
            self._deadline = min(self._deadline, deadline)
            self._condition.notify()

    def stop(self) -> None:
        """End at the next step; what is there is handed back."""
        with self._condition:
            self._closing = self._closing or NotReady("this replica is going away; send the request to another", 1.0)
            self._stopped = True
            self._condition.notify()

    @property
    def counts(self) -> tuple[int, int]:
        """Pictures that wait, and pictures between their first and last step."""
        with self._condition:
            pictures = [picture for job in tuple(self._queue.jobs) for picture in tuple(job.pictures)]
            waiting = sum(job.generation.count for job in self._inbox)
        begun = [picture.begun for picture in pictures if picture.stage is not Stage.OVER]
        return waiting + len(begun) - sum(begun), sum(begun)

    @property
    def short_of_memory(self) -> bool:
        """Whether request after request does not fit into memory, just now."""
        recent = self._clock.monotonic() - self._no_memory_at < _MEMORY_SECONDS
        return recent and self._no_memory >= _MEMORY_FAILURES

    @property
    def wedged(self) -> str:
        """Say which call takes too long or why none can be made; empty where all is well."""
        busy = self.busy
        if busy is not None and self._clock.monotonic() - busy.since > busy.allowed:
            return f"{busy.what} for {self._clock.monotonic() - busy.since:.0f} s, usual are {busy.allowed:.0f} at most"
        return self.broken

    def _retry_after(self) -> float:
        """Estimate when the first place in the queue is free."""
        pictures = list(self._queue.pictures())
        if not pictures:
            return 1.0
        shared = self._throughput_gain(pictures[0].group)
        least = min(job.pictures[0].seconds * len(job.pictures) for job in self._queue.jobs if job.pictures)
        total = sum(picture.seconds for picture in pictures)
        return min(max(least, total / shared / len(self._queue.jobs), 1.0), 60.0)

    # The engine's thread

    def run(self) -> None:
        """Work until stopped. Never raises: what goes wrong beyond a job ends all jobs."""
        while self._wait_for_work():
            try:
                self.turn()
            except Exception as error:  # noqa: BLE001 - the thread must outlive any fault, or the replica would be dead and look alive
                structlog.get_logger().exception("engine turn failed")
                for job in list(self._queue.jobs):
                    self._fail(job, WebUIError(f"the engine failed: {_brief(error)}"))
        self._hand_back(list(self._queue.jobs))

    def _wait_for_work(self) -> bool:
        with self._condition:
            while not (self._inbox or self._queue.jobs or self._stopped):
                if self._deadline < inf:
                    return False
                self._condition.wait()
            return not self._stopped

    def turn(self) -> None:
        """Admit, drop, choose and make one call."""
        self._admit()
        self._heed_flags()
        self._heed_deadline()
        for job, event in self._queue.news():
            self._tell(job, event)
        call = choose(self._queue.pictures(), self._knowledge)
        if call is not None:
            began = self._clock.monotonic()
            self._make(call)
            self._queue.passed(self._clock.monotonic() - began)

    def _admit(self) -> None:
        with self._condition:
            arrived, self._inbox = self._inbox, []
        for job in arrived:
            self._queue.admit(job, self._seconds_alone(job))

    def _heed_flags(self) -> None:
        for job in list(self._queue.jobs):
            if job.cancelled:
                self._end(job, Cancelled())
            elif job.interrupted or job.skipped:
                rest_goes = job.interrupted
                job.skipped = False
                for picture in job.pictures:
                    if picture.stage is Stage.OVER:
                        continue
                    if picture.begun:
                        picture.partial = picture.partial or picture.stage is not Stage.DRAWN
                        self._doing.give_up(picture)
                    elif rest_goes:
                        picture.stage = Stage.OVER
                self._end_if_complete(job)

    def _heed_deadline(self) -> None:
        if self._deadline == inf:
            return
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            self._hand_back(list(self._queue.jobs))
            return
        ahead = 0.0
        for job in sorted(self._queue.jobs, key=lambda job: min(picture.tag.finish for picture in job.pictures)):
            pictures = [picture for picture in job.pictures if picture.stage is not Stage.OVER]
            own = sum(self._seconds_left(picture) for picture in pictures)
            shared = self._throughput_gain(pictures[0].group) if pictures else 1.0
            # What runs along costs less than what runs alone, but never less than the longest of it.
            longest = max((self._seconds_left(picture) for picture in pictures), default=0.0)
            if max((ahead + own) / shared, longest) > left:
                self._hand_back([job])
            else:
                ahead += own

    # One call

    def _make(self, call: Call[Picture]) -> None:
        for picture in call.prepare:
            self._prepare(picture)
        if call.work is Work.PREPARE:
            for picture in call.pictures:
                self._prepare(picture)
            return
        pictures = [picture for picture in call.pictures if picture.stage is not Stage.OVER]
        if call.work is Work.FINISH:
            self._finish(pictures)
            return
        # Those just prepared join at once where their prompts turned out to fit.
        joined = [p for p in call.prepare if p.stage is Stage.DENOISING and p.group == pictures[0].group]
        self._step(pictures + joined)

    def _prepare(self, picture: Picture) -> None:
        group = picture.group
        loading = not self._doing.ready(group)
        kind = "load" if loading else str(Work.PREPARE)
        try:
            self._timed(kind, picture.group, 1, lambda: self._doing.prepare(picture))
        except Exception as error:  # noqa: BLE001
            self._failed_alone(picture, error)

    def _step(self, pictures: list[Picture]) -> None:
        for picture in pictures:
            if picture.job.first_step is None:
                picture.job.first_step = self._clock.monotonic()
                self._queue.began()
                if self.observer is not None:
                    self.observer.waited(picture.job.first_step - picture.job.submitted)
        group, rows = pictures[0].group, sum(picture.rows for picture in pictures)
        before = self._clock.monotonic()
        try:
            errors = self._timed(str(Work.STEP), group, rows, lambda: self._doing.step(pictures))
        except Exception as error:  # noqa: BLE001
            self._failed_together(pictures, error)
            return
        if self.observer is not None:
            self.observer.batch(len(pictures), self._clock.monotonic() - before)
        self._went_well(group, rows)
        self._charge_own_company(pictures)
        for picture, failure in zip(pictures, errors, strict=True):
            if failure is not None:
                self._failed_alone(picture, failure)
            elif not picture.job.over:
                self._tell_step(picture)

    def _charge_own_company(self, pictures: list[Picture]) -> None:
        """Who lets several pictures share calls has them all later than one after the other: at its own expense."""
        rows = Counter[str]()
        for picture in pictures:
            rows[picture.user] += picture.rows
        for picture in pictures:
            if rows[picture.user] > picture.rows:
                together = self._call_seconds(Work.STEP, picture.group, rows[picture.user])
                alone = self._call_seconds(Work.STEP, picture.group, picture.rows)
                picture.tag = picture.tag.later(max(0.0, together - alone))

    def _failed_together(self, pictures: list[Picture], error: Exception) -> None:
        """Find whose fault it is: fewer at once where memory was short, else each alone."""
        if _lost_device(error):
            self.broken = f"the device is lost: {_brief(error)}"
            for job in list(self._queue.jobs):
                self._fail(job, HandedBack("the device of this replica failed; send the request again", 1.0))
            return
        if len(pictures) == 1:
            if _short_of_memory(error) and self._doing.spare_memory(pictures[0]):
                return
            self._failed_alone(pictures[0], error)
            return
        if _short_of_memory(error):
            rows = sum(picture.rows for picture in pictures)
            self._limits[pictures[0].group] = (max(rows // 2, 1), 0)
            structlog.get_logger().warning("memory is short, fewer pictures a call", rows=rows // 2)
            return
        for picture in pictures:
            if not picture.job.over:
                self._step([picture])

    def _finish(self, pictures: list[Picture]) -> None:
        if not pictures:
            return
        try:
            results = self._timed(
                str(Work.FINISH), pictures[0].group, len(pictures), lambda: self._doing.finish(pictures)
            )
        except Exception as error:  # noqa: BLE001
            if len(pictures) == 1:
                self._failed_alone(pictures[0], error)
                return
            for picture in pictures:
                self._finish([picture])
            return
        for picture, result in zip(pictures, results, strict=True):
            if picture.job.over:
                continue
            if isinstance(result, WebUIError):
                self._fail(picture.job, result)
                continue
            self._complete(picture, result)

    def _timed(self, kind: str, group: Group, size: int, action: Callable[[], R]) -> R:
        usual = self.costs.seconds(kind, _cost_key(group), group.pixels, size)
        began = self._clock.monotonic()
        allowed = max(self._bounds.watchdog * (10 if kind == "load" else 1), self._bounds.watchdog_factor * usual)
        self.busy = Busy(began, allowed, kind)
        try:
            result = action()
        finally:
            self.busy = None
        self.costs.observe(kind, _cost_key(group), group.pixels, size, self._clock.monotonic() - began)
        return result

    # Telling

    def _tell_step(self, picture: Picture) -> None:
        preview = None
        now = self._clock.monotonic()
        if picture.job.generation.previews and picture.sampling is not None:
            cost = self.costs.seconds("preview", _cost_key(picture.group), picture.group.pixels, 1)
            if now - picture.previewed >= max(_PREVIEW_SECONDS, cost / _PREVIEW_SHARE):
                preview = self._timed("preview", picture.group, 1, lambda: self._doing.preview(picture))
                picture.previewed = now
        self._tell(picture.job, Step(picture.index, picture.steps_done, picture.job.plan.steps, preview))

    def _complete(self, picture: Picture, image: Image.Image) -> None:
        picture.stage = Stage.OVER
        picture.latents = None
        self._no_memory = 0
        self.last_success = self._served[picture.user] = self._clock.monotonic()
        seeds, drawn_at = picture.seeds, picture.job.plan.drawn_at
        done = PictureDone(picture.index, image, seeds.seed, seeds.variation_seed, picture.partial, drawn_at)
        self._tell(picture.job, done)
        self._end_if_complete(picture.job)

    def _end_if_complete(self, job: Job) -> None:
        if not job.over and all(picture.stage is Stage.OVER for picture in job.pictures):
            seconds = self._clock.monotonic() - job.submitted
            info = job.plan.model
            self._end(job, Finished(job.generation, info.name, info.sha256[:10], seconds, job.interrupted))

    def _failed_alone(self, picture: Picture, error: BaseException) -> None:
        if picture.job.over:
            return
        if isinstance(error, WebUIError):
            self._fail(picture.job, error)
        elif _short_of_memory(error):
            self._fail(
                picture.job, OutOfMemory("the device has no memory for this request even alone: ask for a smaller size")
            )
        else:
            structlog.get_logger().warning("picture failed", reason=_brief(error), exc_info=error)
            self._fail(picture.job, WebUIError(f"drawing failed: {_brief(error)}"))

    def _hand_back(self, jobs: list[Job]) -> None:
        with self._condition:
            unseen, self._inbox = self._inbox, []
        for job in unseen:
            self._tell(job, Failed(HandedBack("this replica is going away; send the request again", 1.0)))
        for job in jobs:
            self._fail(job, HandedBack("this replica is going away; send the request again", 1.0))

    def _fail(self, job: Job, error: WebUIError) -> None:
        if isinstance(error, OutOfMemory):
            self._no_memory, self._no_memory_at = self._no_memory + 1, self._clock.monotonic()
        self._end(job, Failed(error))

    def _end(self, job: Job, event: Event) -> None:
        if job.over:
            return
        for picture in job.pictures:
            picture.stage, picture.sampling, picture.latents = Stage.OVER, None, None
        self._queue.remove(job)
        job.shared.clear()
        job.conditionings.clear()
        self._tell(job, event)

    def _tell(self, job: Job, event: Event) -> None:
        try:
            job.deliver(event)
        except Exception:  # noqa: BLE001 - a listener's fault is its own
            structlog.get_logger().exception("an event could not be delivered")

    # What the policy asks

    def _call_seconds(self, work: Work, group: Group, rows: int) -> float:
        size = 1 if work is Work.PREPARE else rows
        return self.costs.seconds(str(work), _cost_key(group), group.pixels, size)

    def _largest(self, group: Group) -> int:
        limited = self._limits.get(group)
        by_pixels = max(1, int(self._bounds.pixels / (group.pixels * 64)))
        return by_pixels if limited is None else min(by_pixels, limited[0])

    def _went_well(self, group: Group, rows: int) -> None:
        limited = self._limits.get(group)
        if limited is None:
            return
        most, calls = limited
        if rows * 2 > most:
            calls += 1
        self._limits[group] = (most * 2, 0) if calls >= _ROWS_RETRIED else (most, calls)

    def _switch_seconds(self, group: Group) -> float:
        if self._doing.ready(group):
            return 0.0
        return (
            self.costs.seconds("load", _cost_key(group), group.pixels, 1) if self.costs.known_kind("load") else _SWITCH
        )

    def _slack(self, picture: Picture, users: int) -> float:
        if self._queue.users()[picture.user] > 1:
            return inf  # one that waits for its own user's pictures waits for nobody else
        left = picture.seconds * (1 - picture.steps_done / max(1, picture.job.plan.steps))
        if left <= 0:
            return inf
        turn = max(picture.job.submitted, self._served.get(picture.user, 0.0))
        fair_finish = turn + _FAIR * users * picture.seconds
        return (fair_finish - self._clock.monotonic()) / left

    def _seconds_alone(self, job: Job) -> float:
        return sum(self._pass_seconds(job, index) for index in range(len(job.plan.passes)))

    def _pass_seconds(self, job: Job, index: int) -> float:
        group, current = job.plan.group(index, job.vae), job.plan.passes[index]
        rows = 2 if job.generation.cfg_scale > 1 else 1
        calls = current.executed * (2 if current.choice.two_calls else 1)
        return (
            self._call_seconds(Work.PREPARE, group, 1)
            + calls * self._call_seconds(Work.STEP, group, rows)
            + self._call_seconds(Work.FINISH, group, 1)
        )

    def _seconds_left(self, picture: Picture) -> float:
        """Estimate what a picture still takes alone."""
        passes = picture.job.plan.passes
        later = sum(self._pass_seconds(picture.job, index) for index in range(picture.at_pass + 1, len(passes)))
        if picture.stage is Stage.START:
            return later + self._pass_seconds(picture.job, picture.at_pass)
        left = later + self._call_seconds(Work.FINISH, picture.group, 1)
        if picture.sampling is not None:
            calls = len(picture.sampling.times) - picture.sampling.index
            left += calls * self._call_seconds(Work.STEP, picture.group, picture.rows)
        return left

    def _throughput_gain(self, group: Group) -> float:
        """How many times more pictures a second full calls give than calls of one."""
        most = min(self._bounds.pictures, max(1, self._largest(group) // 2))
        alone = self._call_seconds(Work.STEP, group, 2)
        return max(1.0, most * alone / self._call_seconds(Work.STEP, group, 2 * most))


def _cost_key(group: Group) -> tuple[str, int, int, int]:
    """LoRAs change what is drawn, not how long it takes."""
    return group.model, group.height, group.width, group.chunks


def _brief(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _short_of_memory(error: BaseException) -> bool:
    name, text = type(error).__name__, str(error).lower()
    return name in {"OutOfMemoryError", "MemoryError"} or "can't allocate memory" in text or "out of memory" in text


def _lost_device(error: BaseException) -> bool:
    """After such an error every call of the process fails."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)
