"""Who waits and who is served: the jobs in the engine, their limits, their places in the queue.

Everything here happens under the worker's lock or in its thread; nothing computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from webui_image.engine.batching import FairClock
from webui_image.engine.job import Job, Picture, Stage
from webui_image.values.errors import QueueFull
from webui_image.values.events import Queued

__all__ = ["Queue"]


class Queue:
    """All jobs that are not over, in the order of their arrival."""

    def __init__(self, most: int, most_per_user: int) -> None:
        self._most = most
        self._most_per_user = most_per_user
        self._clock = FairClock()
        self._order = 0
        self._changed = False
        self._served: dict[str, float] = {}  # when a user's last picture was done
        self.jobs: list[Job] = []

    def refuse_excess(self, user: str, waiting: list[Job], retry_after: Callable[[], float]) -> None:
        """Raise QueueFull where one more job of this user would be beyond a limit; `waiting` are not admitted yet."""
        jobs = [*self.jobs, *waiting]
        if len(jobs) >= self._most:
            raise QueueFull(f"the queue is full ({self._most} requests); try again later", retry_after())
        if sum(job.user == user for job in jobs) >= self._most_per_user:
            raise QueueFull(
                f"you have {self._most_per_user} requests here already; wait until one is done", retry_after()
            )

    def virtual(self) -> float:
        """Give the virtual time, in which the tags are."""
        return self._clock.now

    def admit(self, job: Job, seconds: float) -> None:
        """Take a job; each of its pictures takes `seconds` alone."""
        before = sum(picture.stage is not Stage.OVER for picture in self.pictures() if picture.user == job.user)
        for index in range(job.generation.count):
            tag = self._clock.tag(job.user, seconds, before + index)
            group = job.plan.group(0, job.vae)
            picture = Picture(job, index, job.picture_seeds(index), self._order, tag, group, seconds=seconds)
            picture.alone = job.generation.exact
            job.pictures.append(picture)
            self._order += 1
        self.jobs.append(job)
        self._changed = True

    def remove(self, job: Job) -> None:
        """Forget a job that is over."""
        job.over = True
        self.jobs.remove(job)
        if all(other.user != job.user for other in self.jobs):
            self._served.pop(job.user, None)
        self._changed = True

    def began(self) -> None:
        """Note that a job is no longer waiting."""
        self._changed = True

    def passed(self, seconds: float) -> None:
        """Let virtual time go on by seconds of work."""
        self._clock.advance(seconds, ((picture.user, picture.tag) for picture in self.pictures()))

    def pictures(self) -> Iterator[Picture]:
        """Give all pictures that are not over."""
        for job in self.jobs:
            for picture in job.pictures:
                if picture.stage is not Stage.OVER:
                    yield picture

    def serve(self, user: str, moment: float) -> None:
        """Note that a user got a picture."""
        self._served[user] = moment

    def served(self, user: str) -> float:
        """Give when a user with pictures here last got one; 0 where it did not yet."""
        return self._served.get(user, 0.0)

    def in_order(self) -> list[Job]:
        """Give the jobs in the order in which they are served."""
        return sorted(self.jobs, key=lambda job: (min(picture.tag.finish for picture in job.pictures), job.order))

    def news(self) -> list[tuple[Job, Queued]]:
        """Give the jobs whose place in the queue has changed since the last time, with their new place."""
        if not self._changed:
            return []
        self._changed = False
        waiting = [job for job in self.in_order() if job.first_step is None]
        told = []
        for position, job in enumerate(waiting):
            if job.position != position:
                job.position = position
                told.append((job, Queued(position)))
        return told
