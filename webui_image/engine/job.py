"""A request on its way through the engine, and its pictures, with how far each has come.

All of it belongs to the engine's thread, but for three flags, by which others ask it to cancel, interrupt or skip at
the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from webui_image.engine.batching import Work
from webui_image.engine.planning import Group, Pass, Plan
from webui_image.engine.seeds import Seeds, of_picture

if TYPE_CHECKING:
    from webui_image.engine.batching import Tag
    from webui_image.engine.stepping import Sampling
    from webui_image.values.events import Event
    from webui_image.values.generation import Generation

__all__ = ["Job", "Picture", "Stage"]


class Stage(Enum):
    """What a picture waits for."""

    START = "start"  # of its next pass: prompts encoded, first noise drawn
    DENOISING = "denoising"
    DRAWN = "drawn"  # latents are final, to be decoded
    OVER = "over"


_WORK = {Stage.START: Work.PREPARE, Stage.DENOISING: Work.STEP, Stage.DRAWN: Work.FINISH}


@dataclass(slots=True, eq=False)
class Picture:
    """One picture and how far it is; a `batching.Candidate`. Only the engine's thread touches it."""

    job: Job
    index: int
    seeds: Seeds
    order: int
    tag: Tag
    group: Group
    alone: bool = False
    rows: int = 2
    stage: Stage = Stage.START
    at_pass: int = 0
    sampling: Sampling | None = None  # while denoising
    latents: Any = None  # of the last finished pass
    seconds: float = 0.0  # that it takes alone, all of it, as estimated when it came
    previewed: float = 0.0  # when its last preview was made
    partial: bool = False  # interrupted or skipped

    @property
    def user(self) -> str:
        """Whose it is."""
        return self.job.user

    @property
    def work(self) -> Work:
        """What it needs next."""
        return _WORK[self.stage]

    @property
    def current(self) -> Pass:
        """The pass that it is in."""
        return self.job.plan.passes[self.at_pass]

    @property
    def begun(self) -> bool:
        """Whether there is anything to show yet."""
        return self.at_pass > 0 or self.stage is Stage.DRAWN or (self.sampling is not None and self.sampling.index > 0)

    @property
    def steps_done(self) -> int:
        """Steps taken in all passes."""
        done = sum(each.executed for each in self.job.plan.passes[: self.at_pass])
        if self.stage is Stage.DRAWN:
            return done + self.current.executed
        return done + (self.sampling.step if self.sampling is not None else 0)


@dataclass(slots=True, eq=False)
class Job:
    """A request in the engine's hands; it is its own ticket."""

    generation: Generation
    plan: Plan
    user: str
    deliver: Callable[[Event], None]
    submitted: float
    wake: Callable[[], None]
    vae: str = ""
    pictures: list[Picture] = field(default_factory=list)
    conditionings: dict[int, Any] = field(default_factory=dict)  # by pass
    shared: dict[str, Any] = field(default_factory=dict)  # what its pictures have in common, e.g. the encoded source
    first_step: float | None = None
    position: int | None = None  # as last told
    over: bool = False
    cancelled: bool = False
    interrupted: bool = False
    skipped: bool = False

    def cancel(self) -> None:
        """Forget it at the next step."""
        self.cancelled = True
        self.wake()

    def interrupt(self) -> None:
        """Finish at the next step with what there is."""
        self.interrupted = True
        self.wake()

    def skip(self) -> None:
        """Hand over the pictures being drawn at the next step, and go on with the others."""
        self.skipped = True
        self.wake()

    @property
    def order(self) -> int:
        """When it was admitted, among others."""
        return self.pictures[0].order

    def picture_seeds(self, index: int) -> Seeds:
        """Give the seeds of picture `index`."""
        return of_picture(self.generation, index)
