"""How long things take and how much fits: what the policy asks, answered from what was measured.

One place for every estimate, so that who waits, who is handed back at the end, and when to come again rest on the same
knowledge.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from webui_image.engine.batching import Knowledge, Work
from webui_image.engine.costs import Costs
from webui_image.engine.job import Job, Picture, Stage
from webui_image.engine.planning import Group

if TYPE_CHECKING:
    from webui_image.clock import Clock
    from webui_image.engine.doing import Bounds, Doing
    from webui_image.engine.queue import Queue

__all__ = ["Reckoning"]

_LATENT_PIXELS = 64  # pixels of a picture for each of its latents
_RETRIED = 200  # full calls after which a bound set by a lack of memory is doubled
_SWITCH = 5.0  # seconds to load a model, until one was loaded
_FAIR = 0.85  # of what equal sharing would take, after which a picture should be done
_LONGEST_WAIT = 60.0


class Reckoning:
    """Estimates for one worker. Learns in the engine's thread; estimates may be asked for from any."""

    def __init__(self, doing: Doing, bounds: Bounds, clock: Clock, queue: Queue) -> None:
        self._doing = doing
        self._bounds = bounds
        self._clock = clock
        self._queue = queue
        self._limits: dict[Group, tuple[int, int]] = {}  # rows, and full calls made since
        self._costs = Costs()

    def knowledge(self) -> Knowledge[Picture]:
        """Give what the policy asks with."""
        return Knowledge(
            seconds=self.call,
            largest=self.largest,
            switch=self._switch,
            slack=self._slack,
            tried=lambda work, group: self._costs.tried(str(work), _cost_key(group)),
            virtual=self._queue.virtual,
            most=self._bounds.pictures,
        )

    def learn(self, kind: str, group: Group, size: int, seconds: float) -> None:
        """Take note of what a call took. Kinds are those of `Work`, and "load" and "preview"."""
        self._costs.observe(kind, _cost_key(group), group.pixels, size, seconds)

    def usual(self, kind: str, group: Group, size: int) -> float:
        """Estimate the seconds of a call of any kind."""
        return self._costs.seconds(kind, _cost_key(group), group.pixels, size)

    def call(self, work: Work, group: Group, rows: int) -> float:
        """Estimate the seconds of a call of so many rows (decoding: pictures)."""
        return self.usual(str(work), group, 1 if work is Work.PREPARE else rows)

    def largest(self, group: Group) -> int:
        """Give the most rows that a call of the group may have, by memory."""
        limited = self._limits.get(group)
        by_pixels = max(1, int(self._bounds.pixels / (group.pixels * _LATENT_PIXELS)))
        return by_pixels if limited is None else min(by_pixels, limited[0])

    def did_not_fit(self, group: Group, rows: int) -> int:
        """Halve the rows of the group's calls; give how many there may be now."""
        self._limits[group] = (max(rows // 2, 1), 0)
        return self._limits[group][0]

    def did_fit(self, group: Group, rows: int) -> None:
        """Try more rows again when calls with nearly as many as allowed have gone well for long."""
        limited = self._limits.get(group)
        if limited is not None and rows * 2 > limited[0]:
            most, calls = limited[0], limited[1] + 1
            self._limits[group] = (most * 2, 0) if calls >= _RETRIED else (most, calls)

    def alone(self, job: Job) -> float:
        """Estimate what one picture of a job takes alone, from its prompt to its pixels."""
        return sum(self._pass(job, index) for index in range(len(job.plan.passes)))

    def left(self, picture: Picture) -> float:
        """Estimate what a picture still takes alone."""
        passes = picture.job.plan.passes
        later = sum(self._pass(picture.job, index) for index in range(picture.at_pass + 1, len(passes)))
        if picture.stage is Stage.START:
            return later + self._pass(picture.job, picture.at_pass)
        left = later + self.call(Work.FINISH, picture.group, 1)
        if picture.sampling is not None:
            calls = len(picture.sampling.times) - picture.sampling.index
            left += calls * self.call(Work.STEP, picture.group, picture.rows)
        return left

    def gain(self, group: Group) -> float:
        """Estimate how many times more pictures a second full calls give than calls of one."""
        most = min(self._bounds.pictures, max(1, self.largest(group) // 2))
        alone = self.call(Work.STEP, group, 2)
        return max(1.0, most * alone / self.call(Work.STEP, group, 2 * most))

    def retry_after(self) -> float:
        """Estimate in how many seconds there will be a place in the queue; 1 to 60."""
        jobs = [job for job in tuple(self._queue.jobs) if job.pictures]
        pictures = [picture for job in jobs for picture in job.pictures if picture.stage is not Stage.OVER]
        if not pictures:
            return 1.0
        total = sum(picture.seconds for picture in pictures) / self.gain(pictures[0].group)
        return min(max(total / len(jobs), min(picture.seconds for picture in pictures), 1.0), _LONGEST_WAIT)

    def _pass(self, job: Job, index: int) -> float:
        group, current = job.plan.group(index, job.vae), job.plan.passes[index]
        calls = current.executed * (2 if current.choice.two_calls else 1)
        return (
            self.call(Work.PREPARE, group, 1)
            + calls * self.call(Work.STEP, group, 2 if job.generation.cfg_scale > 1 else 1)
            + self.call(Work.FINISH, group, 1)
        )

    def _switch(self, group: Group) -> float:
        if self._doing.ready(group):
            return 0.0
        return self.usual("load", group, 1) if self._costs.known_kind("load") else _SWITCH

    def _slack(self, picture: Picture, users: int) -> float:
        # By the steps alone: this is asked for many pictures between two calls.
        left = picture.seconds * (1 - picture.steps_done / max(1, picture.job.plan.steps))
        if left <= 0:
            return inf
        turn = max(picture.job.submitted, self._queue.served(picture.user))
        return (turn + _FAIR * users * picture.seconds - self._clock.monotonic()) / left


def _cost_key(group: Group) -> tuple[str, int, int, int]:
    """Leave out LoRAs: they change what is drawn, not how long it takes."""
    return group.model, group.height, group.width, group.chunks
