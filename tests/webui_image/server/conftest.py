"""A server over loopback, with an engine that draws plain colours in steps that a test may hold, fail or slow down."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn
from PIL import Image

from webui_image.clock import SystemClock
from webui_image.metrics import Metrics
from webui_image.server import logs
from webui_image.server.app import create
from webui_image.server.serving import configuration
from webui_image.server.settings import Settings
from webui_image.values.errors import HandedBack, Invalid, NotReady, QueueFull, WebUIError
from webui_image.values.events import Cancelled, Event, Failed, Finished, PictureDone, Queued, Step
from webui_image.values.generation import Generation, final_size
from webui_image.values.ports import ModelInfo, Named, Phase, Recommended, Status

MODELS = (
    ModelInfo("shapes", "shapes [aaaaaaaaaa]", "a" * 64, "sd1", recommended=Recommended(64, 64, 12, 2.5)),
    ModelInfo("dream", "dream [bbbbbbbbbb]", "b" * 64, "sd1"),
)


@dataclass(eq=False)
class FakeTicket:
    """A request in the fake engine's hands."""

    engine: FakeEngine
    generation: Generation
    user: str
    deliver: Callable[[Event], None]
    cancelled: bool = False
    interrupted: bool = False
    skipped: bool = False
    over: bool = False

    def cancel(self) -> None:
        self._note("cancelled")

    def interrupt(self) -> None:
        self._note("interrupted")

    def skip(self) -> None:
        self._note("skipped")

    def _note(self, what: str) -> None:
        with self.engine.changed:
            setattr(self, what, True)
            self.engine.changed.notify_all()


@dataclass
class FakeEngine:
    """Draws each picture in its seed's colour, one request after the other, one event per step."""

    step_seconds: float = 0.0
    fail_with: WebUIError | None = None  # what the next requests end with
    largest_queue: int = 64
    phase: Phase = Phase.READY
    detail: str = ""
    success: float | None = 1.0
    refuse_model: str = "none-of-them"
    models_listed: tuple[ModelInfo, ...] = MODELS
    submitted: list[FakeTicket] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._queue: deque[FakeTicket] = deque()
        self._held = False
        self._closed = False
        self._current: FakeTicket | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    # The port.

    def submit(self, generation: Generation, *, user: str, deliver: Callable[[Event], None]) -> FakeTicket:
        with self.changed:
            if self.phase is not Phase.READY:
                raise NotReady(f"the engine is {self.phase}", retry_after=2)
            if len(self._queue) >= self.largest_queue:
                raise QueueFull("the queue is full", retry_after=3)
            if generation.model == self.refuse_model:
                raise Invalid("model", "there is no such model")
            ticket = FakeTicket(self, generation, user, deliver)
            self.submitted.append(ticket)
            self._queue.append(ticket)
            deliver(Queued(len(self._queue) - 1))
            self.changed.notify_all()
            return ticket

    def status(self) -> Status:
        return Status(
            self.phase,
            detail=self.detail,
            waiting=sum(each.generation.count for each in list(self._queue)),
            running=0 if self._current is None else self._current.generation.count,
            seconds_since_success=self.success,
            device="cpu",
            model=MODELS[0].name,
            phase_seconds=(("importing", 1.25),),
        )

    def models(self) -> tuple[ModelInfo, ...]:
        return self.models_listed

    def loras(self) -> tuple[Named, ...]:
        return (Named("blue", "c" * 64),)

    def embeddings(self) -> tuple[Named, ...]:
        return (Named("bad-hands"),)

    def start(self) -> None:
        self.calls.append("start")

    def drain(self, grace: float) -> None:
        self.calls.append("drain")
        with self.changed:
            self.phase = Phase.DRAINING
            self.changed.wait_for(lambda: not self._queue and self._current is None, grace)
        self._give_back()

    def close(self) -> None:
        self.calls.append("close")
        self._give_back()
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        self._thread.join(60)

    # The test's handles.

    def hold(self) -> None:
        """Let nothing make a step until `release`."""
        with self.changed:
            self._held = True

    def release(self) -> None:
        """Go on."""
        with self.changed:
            self._held = False
            self.changed.notify_all()

    def wait_until(self, condition: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Wait for something that the engine's work brings about."""
        with self.changed:
            return self.changed.wait_for(condition, seconds)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._queue and self._current is None

    # The work.

    def _give_back(self) -> None:
        with self.changed:
            left = [*([self._current] if self._current else []), *self._queue]
            self._queue.clear()
            for ticket in left:
                if not ticket.over:
                    ticket.over = True
                    ticket.deliver(Failed(HandedBack("this replica is going away: send it again", retry_after=1)))
            self.changed.notify_all()

    def _work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self._closed or self._queue)
                if self._closed:
                    return
                self._current = ticket = self._queue.popleft()
            final = self._draw(ticket)
            with self.changed:
                if not ticket.over:
                    ticket.over = True
                    ticket.deliver(final)
                self._current = None
                self.changed.notify_all()

    def _draw(self, ticket: FakeTicket) -> Finished | Failed | Cancelled:
        made = ticket.generation
        for index in range(made.count):
            partial = False
            for step in range(1, made.steps + 1):
                self._pause(ticket)
                if ticket.over or ticket.cancelled:
                    return Cancelled()
                if self.fail_with is not None:
                    return Failed(self.fail_with)
                if ticket.interrupted or ticket.skipped:
                    partial, ticket.skipped = True, False
                    break
                preview = Image.new("RGB", (8, 8), colour_of(made.seed + index)) if made.previews else None
                ticket.deliver(Step(index, step, made.steps, preview))
            image = Image.new("RGB", final_size(made), colour_of(made.seed + index))
            variation = made.variation.seed + index if made.variation else None
            ticket.deliver(PictureDone(index, image, made.seed + index, variation, partial))
            if ticket.interrupted:
                break
        model = next((each for each in MODELS if each.name == made.model), MODELS[0])
        return Finished(made, model.name, model.sha256[:10], 0.5, interrupted=ticket.interrupted)

    def _pause(self, ticket: FakeTicket) -> None:
        with self.changed:
            self.changed.notify_all()
            stop = lambda: ticket.cancelled or ticket.interrupted or ticket.skipped or ticket.over or self._closed
            if self.step_seconds:
                self.changed.wait_for(stop, self.step_seconds)
            self.changed.wait_for(lambda: not self._held or stop())


def colour_of(seed: int) -> tuple[int, int, int]:
    """Give the colour that a seed is drawn in."""
    digest = hashlib.sha256(str(seed).encode()).digest()
    return digest[0], digest[1], digest[2]


@dataclass
class Running:
    """A server that answers."""

    url: str
    port: int
    engine: FakeEngine
    metrics: Metrics
    app: object

    def client(self, **options: object) -> httpx.Client:
        """Give a client that is closed with the test."""
        return httpx.Client(base_url=self.url, timeout=60, verify=False, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Log as the server does: the renderer that stands in before it is set up takes seconds for one traceback."""
    logs.configure(Settings(log_level="warning"))


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    """Make an engine without a model."""
    made = FakeEngine()
    yield made
    made.release()
    made.close()


@contextmanager
def serving(engine: FakeEngine, settings: Settings) -> Iterator[Running]:
    """Serve on a free port of loopback, in a thread."""
    metrics = Metrics()
    app = create(settings, engine, metrics, SystemClock())
    config = configuration(app)
    config.port = 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    pause = threading.Event()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        pause.wait(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Running(f"http://127.0.0.1:{port}", port, engine, metrics, app)
    finally:
        engine.release()
        server.force_exit = server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def start(engine: FakeEngine) -> Iterator[Callable[..., Running]]:
    """Start servers over the engine, with fields of `Settings`."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(serving(engine, Settings(**fields)))


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    """Start one server for all tests of a module, which leave it as it was."""
    engine = FakeEngine()
    with serving(engine, Settings()) as running:
        yield running
    engine.close()


@pytest.fixture
def server(start: Callable[..., Running]) -> Running:
    """Start a server with the settings as they are by default."""
    return start()


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    """Make a client of that server."""
    with server.client() as made:
        yield made
