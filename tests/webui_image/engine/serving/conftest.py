"""An engine whose device and clock are simulated: calls take what they are told to, and nothing computes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from webui_image.engine.job import Job, Stage
from webui_image.engine.planning import plan
from webui_image.engine.worker import Bounds, Worker
from webui_image.values.events import Final, PictureDone
from webui_image.values.generation import Generation
from webui_image.values.ports import ModelInfo


@dataclass
class SimulatedClock:
    """Time that passes when somebody says so."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Steps:
    """What the worker reads of a picture's sampling."""

    times: list[int]
    index: int = 0

    @property
    def step(self) -> int:
        return self.index


class SimulatedDevice:
    """Takes `call + row * rows` seconds a step of 64 x 64 pixels, in proportion to the pixels; faults can be set."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.call, self.row, self.encode, self.decode = 0.011, 0.0033, 0.004, 0.006
        self.steps: list[list[str]] = []  # whose pictures each step had
        self.most_rows = 10**9
        self.sparing = False
        self.fault: Callable[[list], None] = lambda _pictures: None
        self.picture_fault: Callable[[object], BaseException | None] = lambda _picture: None
        self.loaded = {"small"}
        self.given_up: list[int] = []

    def ready(self, group) -> bool:
        return group.model in self.loaded

    def prepare(self, picture) -> None:
        if picture.group.model not in self.loaded:
            self.clock.now += 3.0
            self.loaded = {picture.group.model}
        self.clock.now += self.encode
        picture.rows = 2 if picture.job.generation.cfg_scale > 1 else 1
        picture.sampling = Steps(list(range(picture.current.executed)))
        picture.stage = Stage.DENOISING

    def step(self, pictures):
        rows = sum(picture.rows for picture in pictures)
        if rows > self.most_rows:
            raise MemoryError("out of memory")
        self.fault(pictures)
        self.clock.now += self.call + self.row * rows * pictures[0].group.pixels / 64
        self.steps.append([picture.user for picture in pictures])
        failures = []
        for picture in pictures:
            failure = self.picture_fault(picture)
            failures.append(failure)
            if failure is None:
                picture.sampling.index += 1
                if picture.sampling.index == len(picture.sampling.times):
                    picture.stage, picture.sampling = Stage.DRAWN, None
        return failures

    def finish(self, pictures):
        self.clock.now += self.decode * len(pictures) * pictures[0].group.pixels / 64
        return [f"picture {picture.index}" for picture in pictures]

    def preview(self, picture):
        return f"preview {picture.index}"

    def give_up(self, picture) -> None:
        self.given_up.append(picture.index)
        picture.stage, picture.sampling = Stage.DRAWN, None

    def memory(self, _picture) -> tuple[int, int]:
        return 1, 2

    def spare_memory(self, _picture) -> bool:
        was, self.sparing = self.sparing, True
        return not was


@dataclass
class Asked:
    """A request and what was told about it."""

    job: Job
    events: list = field(default_factory=list)
    ended: float | None = None  # when the final event came

    @property
    def end(self):
        return self.events[-1] if self.events and isinstance(self.events[-1], Final) else None

    @property
    def pictures(self) -> list:
        return [event for event in self.events if isinstance(event, PictureDone)]


class World:
    """A worker on a simulated device, driven turn by turn."""

    def __init__(self, **bounds: int) -> None:
        self.clock = SimulatedClock()
        self.device = SimulatedDevice(self.clock)
        self.worker = Worker(self.device, Bounds(**({"queue": 1000, "queue_per_user": 1000} | bounds)), self.clock)
        self.wakes = 0

    def model(self, name: str = "small") -> ModelInfo:
        return ModelInfo(name, name, "ab" * 32, "sd1")

    def ask(self, user: str = "anna", *, side: int = 64, model: str = "small", **settings) -> Asked:
        """Submit a request."""
        generation = Generation("a circle", width=side, height=side, **({"steps": 12} | settings))
        events: list = []

        def hear(event) -> None:
            events.append(event)
            if isinstance(event, Final):
                asked.ended = self.clock.now

        job = Job(generation, plan(generation, self.model(model)), user, hear, self.clock.now, self.worker.wake)
        asked = Asked(job, events)
        self.worker.submit(job)
        return asked

    def learn(self) -> None:
        """Let the worker see calls of several sizes, as the warm-up does."""
        for side in (64, 128):
            for count in (1, 4, 8):
                self.ask("warm-up", side=side, steps=2, count=count)
                self.finish()
        self.device.steps.clear()

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.worker.turn()

    def until(self, moment: float) -> None:
        """Work until a moment; with nothing to do, time passes."""
        while self.clock.now < moment:
            if not self.busy:
                self.clock.now = moment
                return
            self.worker.turn()

    def finish(self) -> None:
        while self.busy:
            self.worker.turn()

    @property
    def busy(self) -> bool:
        return bool(self.worker._queue.jobs or self.worker._inbox)

    def seconds(self, asked: Asked) -> float:
        """How long a request took."""
        assert asked.ended is not None
        return asked.ended - asked.job.submitted


@pytest.fixture
def world() -> World:
    """Give a worker on a simulated device."""
    return World()


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """Give what makes such worlds, with other bounds."""
    return World
