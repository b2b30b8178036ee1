"""The engine's one thread: it owns torch and all models, and makes one call after the other.

Between two calls, and only there, requests come and go: new ones are admitted, cancelled ones dropped, the next call is
chosen anew. With nothing to do the thread sleeps; it is woken by whoever changes that.
"""

from __future__ import annotations

import threading
from math import inf
from typing import TYPE_CHECKING

import structlog

from webui_image.engine import faults
from webui_image.engine.batching import Work, choose
from webui_image.engine.calls import Calls
from webui_image.engine.desk import Desk
from webui_image.engine.doing import Bounds, Doing, Observer
from webui_image.engine.job import Job, Stage
from webui_image.engine.queue import Queue
from webui_image.engine.reckoning import Reckoning
from webui_image.values.errors import NotReady, WebUIError
from webui_image.values.events import Cancelled

if TYPE_CHECKING:
    from webui_image.clock import Clock

__all__ = ["Bounds", "Worker"]


class Worker:
    """Takes jobs from any thread; `run` is the engine's thread."""

    def __init__(self, doing: Doing, bounds: Bounds, clock: Clock) -> None:
        self._doing = doing
        self._clock = clock
        self._condition = threading.Condition()
        self._inbox: list[Job] = []
        self._queue = Queue(bounds.queue, bounds.queue_per_user)
        self._reckoning = Reckoning(doing, bounds, clock, self._queue)
        self._knowledge = self._reckoning.knowledge()
        self._desk = Desk(self._queue, clock)
        self._calls = Calls(doing, bounds, clock, queue=self._queue, reckoning=self._reckoning, desk=self._desk)
        self._stopped = False
        self._deadline = inf

    # From any thread

    def submit(self, job: Job) -> None:
        """Take a job. Raises QueueFull, or NotReady while draining."""
        with self._condition:
            if self._stopped or self._deadline < inf:
                raise NotReady("this replica is going away; send the request to another", 1.0)
            self._queue.refuse_excess(job.user, self._inbox, self._reckoning.retry_after)
            self._inbox.append(job)
            self._condition.notify()

    def wake(self) -> None:
        """Look at the jobs' flags now."""
        with self._condition:
            self._condition.notify()

    def drain(self, deadline: float) -> None:
        """Take nothing more; go on until `deadline` (of the clock) with what fits, hand back the rest."""
        with self._condition:
            self._deadline = min(self._deadline, deadline)
            self._condition.notify()

    def stop(self) -> None:
        """End at the next step; what is there is handed back."""
        with self._condition:
            self._stopped = True
            self._condition.notify()

    @property
    def counts(self) -> tuple[int, int]:
        """Pictures that wait, and pictures between their first and last step."""
        with self._condition:
            waiting = sum(job.generation.count for job in self._inbox)
            pictures = [picture for job in self._queue.jobs for picture in job.pictures]
        begun = [picture.begun for picture in pictures if picture.stage is not Stage.OVER]
        return waiting + len(begun) - sum(begun), sum(begun)

    @property
    def last_success(self) -> float | None:
        """When a picture was last done, on the clock."""
        return self._desk.last_success

    @property
    def short_of_memory(self) -> bool:
        """Whether request after request does not fit into memory, just now."""
        return self._desk.short_of_memory

    @property
    def wedged(self) -> str:
        """Say which call takes too long, or why none can be made; empty where all is well."""
        busy = self._calls.busy
        if busy is not None:
            seconds = self._clock.monotonic() - busy.since
            if seconds > busy.allowed:
                return f"a {busy.what} for {seconds:.0f} s, beyond the {busy.allowed:.0f} s that it may take"
        return self._calls.broken

    # The engine's thread

    def observe(self, observer: Observer | None) -> None:
        """Report to this observer from now on."""
        self._calls.observer = observer

    def rehearse(self, job: Job) -> float:
        """Draw a job at once, to learn what its calls take; give the seconds of one step of one picture."""
        self._queue.admit(job, self._reckoning.alone(job))
        while not job.over:
            self.turn()
        return self._reckoning.call(Work.STEP, job.plan.group(0, job.vae), 2)

    def run(self) -> None:
        """Work until stopped, or drained. Never raises: what goes wrong beyond a job ends all jobs."""
        while self._wait_for_work():
            try:
                self.turn()
            except Exception as error:  # noqa: BLE001 - a dead thread would look alive from outside
                structlog.get_logger().exception("engine turn failed")
                self._desk.fail_all(WebUIError(f"the engine failed: {faults.brief(error)}"))
        self._hand_back_all()

    def turn(self) -> None:
        """Admit, drop, choose and make one call."""
        self._admit()
        self._heed_flags()
        self._heed_deadline()
        for job, event in self._queue.news():
            self._desk.tell(job, event)
        call = choose(self._queue.pictures(), self._knowledge)
        if call is not None:
            began = self._clock.monotonic()
            self._calls.make(call)
            self._queue.passed(self._clock.monotonic() - began)

    def _wait_for_work(self) -> bool:
        with self._condition:
            while not (self._inbox or self._queue.jobs or self._stopped or self._deadline < inf):
                self._condition.wait()
            return not self._stopped and bool(self._inbox or self._queue.jobs)

    def _admit(self) -> None:
        with self._condition:
            for job in self._inbox:
                self._queue.admit(job, self._reckoning.alone(job))
            self._inbox.clear()

    def _heed_flags(self) -> None:
        for job in list(self._queue.jobs):
            if job.cancelled:
                self._desk.end(job, Cancelled())
            elif job.interrupted or job.skipped:
                self._give_up(job, rest_too=job.interrupted)
                job.skipped = False
                self._desk.end_if_complete(job)

    def _give_up(self, job: Job, *, rest_too: bool) -> None:
        """Have what is being drawn handed over as it stands; forget what is not begun, where that is wished."""
        for picture in job.pictures:
            if picture.stage in {Stage.START, Stage.DENOISING} and picture.begun:
                picture.partial = True
                self._doing.give_up(picture)
            elif rest_too and not picture.begun:
                picture.stage = Stage.OVER

    def _heed_deadline(self) -> None:
        """Hand back at once what will not be finished in time, so that it is begun elsewhere early."""
        if self._deadline == inf:
            return
        seconds = self._deadline - self._clock.monotonic()
        if seconds <= 0:
            self._hand_back_all()
        ahead = 0.0
        for job in self._queue.in_order():
            left = [self._reckoning.left(picture) for picture in job.pictures if picture.stage is not Stage.OVER]
            # What runs along costs less than what runs alone, but never less than the longest of it.
            shared = (ahead + sum(left)) / self._reckoning.gain(job.pictures[0].group)
            if max(shared, *left) > seconds:
                self._desk.hand_back(job)
            else:
                ahead += sum(left)

    def _hand_back_all(self) -> None:
        self._admit()
        for job in list(self._queue.jobs):
            self._desk.hand_back(job)
