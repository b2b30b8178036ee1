"""Servers with an engine that draws without a model, and a browser to look at their page with."""

import asyncio
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from webui_image.clock import SystemClock
from webui_image.metrics import Metrics
from webui_image.server.app import create
from webui_image.server.settings import Access, Place, Settings
from webui_image.values.errors import HandedBack, QueueFull
from webui_image.values.events import Cancelled, Event, Failed, Finished, PictureDone, Queued, Step
from webui_image.values.generation import Generation, final_size
from webui_image.values.ports import ModelInfo, Named, Phase, Recommended, Status

EXAMPLES = (
    "a red circle on a white background",
    "a small blue star on a black background",
    "a large yellow heart on a green background",
    "a purple triangle at the bottom right of a background that has no end and no other colour than grey",
)
SHAPES = ModelInfo(
    name="shapes",
    title="shapes [0123456789]",
    sha256="0123456789" + "0" * 54,
    kind="sd1",
    recommended=Recommended(
        width=64, height=64, steps=8, cfg_scale=2.5, sampler="Euler", examples=EXAMPLES, native_side=64, largest_side=64
    ),
)
INSTALLED = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PATIENCE = 60_000  # ms; a browser on a busy machine may stand still for seconds
COLOURS = ("red", "blue", "yellow", "purple", "green", "orange", "teal", "black")


def drawing(prompt: str, seed: int, size: tuple[int, int]) -> Image.Image:
    """Draw what a seed and a prompt stand for: equal ones give equal pictures."""
    digest = hashlib.sha256(f"{prompt}/{seed}".encode()).digest()
    colour = next((each for each in COLOURS if each in prompt), COLOURS[digest[0] % len(COLOURS)])
    image = Image.new("RGB", size, (230 - digest[1] % 60, 225 - digest[2] % 60, 220 - digest[3] % 60))
    width, height = size
    x, y = width * (30 + digest[4] % 40) // 100, height * (30 + digest[5] % 40) // 100
    radius = min(size) * (18 + digest[6] % 14) // 100
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image


@dataclass(eq=False)
class Request:
    """A request in the engine's hands."""

    generation: Generation
    user: str
    deliver: Callable[[Event], None]
    changed: threading.Condition
    cancelled: bool = False

    def cancel(self) -> None:
        with self.changed:
            self.cancelled = True
            self.changed.notify_all()

    def interrupt(self) -> None: ...

    def skip(self) -> None: ...


@dataclass(eq=False)
class DrawingEngine:
    """Draws one request after the other, in a thread of its own, and makes no more steps than `allow` says."""

    allowed: int | None = None  # steps that may still be made; None: as many as there are
    models_: tuple[ModelInfo, ...] = (SHAPES,)
    phase: Phase = Phase.READY
    refusal: Exception | None = None  # raised by submit
    fail_at: int = 0  # the number of the step at which the next request fails, handed back
    seen: list[Generation] = field(default_factory=list)
    cancelled: int = 0
    limit: int = 64

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Request] = []
        self._running: Request | None = None
        self._closed = False
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, generation: Generation, *, user: str, deliver: Callable[[Event], None]) -> Request:
        with self._changed:
            if self.refusal is not None:
                raise self.refusal
            if len(self._waiting) >= self.limit:
                raise QueueFull("the queue is full", retry_after=1)
            request = Request(generation, user, deliver, self._changed)
            self.seen.append(generation)
            self._waiting.append(request)
            self._changed.notify_all()
            deliver(Queued(len(self._waiting) - 1 + (self._running is not None)))
        return request

    def status(self) -> Status:
        return Status(self.phase, waiting=len(self._waiting), device="cpu", model="shapes", seconds_since_success=1)

    def models(self) -> tuple[ModelInfo, ...]:
        return self.models_

    def loras(self) -> tuple[Named, ...]:
        return ()

    def embeddings(self) -> tuple[Named, ...]:
        return ()

    def start(self) -> None: ...

    def drain(self, grace: float) -> None:
        self.close()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for something that the engine's work brings about."""
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def allow(self, steps: int | None) -> None:
        """Let so many steps be made; None: as many as there are."""
        with self._changed:
            self.allowed = steps
            self._changed.notify_all()

    def _may_step(self, request: Request) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.allowed != 0 or request.cancelled or self._closed)
            if self.allowed:
                self.allowed -= 1

    @property
    def idle(self) -> bool:
        return self._running is None and not self._waiting

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                self._running = self._waiting.pop(0)
                for position, each in enumerate(self._waiting):
                    each.deliver(Queued(position))
            try:
                self._draw(self._running)
            finally:
                self._running = None

    def _draw(self, request: Request) -> None:
        asked, size = request.generation, final_size(request.generation)
        for index in range(asked.count):
            seed = asked.seed if asked.variation else asked.seed + index
            other = asked.variation.seed + index if asked.variation else None
            picture = drawing(asked.prompt, seed if other is None else other, size)
            for step in range(1, asked.steps + 1):
                self._may_step(request)
                if request.cancelled or self._closed:
                    with self._changed:
                        self.cancelled += 1
                        self._changed.notify_all()
                    request.deliver(Cancelled())
                    return
                if self.fail_at and step == self.fail_at:
                    self.fail_at = 0
                    request.deliver(Failed(HandedBack("this replica goes away: send it again", retry_after=0.1)))
                    return
                request.deliver(Step(index, step, asked.steps, picture.resize((8, 8)) if asked.previews else None))
            request.deliver(PictureDone(index, picture, seed, other))
        request.deliver(Finished(asked, "shapes", "0123456789", 0.1))


class Replica:
    """A server on a port of its own, in a thread."""

    def __init__(self, engine: DrawingEngine, settings: Settings) -> None:
        import uvicorn

        self.engine = engine
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)  # connections made before the server runs wait for it
        self.port = self.socket.getsockname()[1]
        app = create(settings, engine, Metrics(), SystemClock())
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def kill(self) -> None:
        """Cut every connection, as a machine that goes away does."""
        self.server.force_exit = True
        self.close()

    def close(self) -> None:
        self.server.should_exit = True
        self._thread.join(60)
        self.socket.close()
        self.engine.close()


class RoundRobin:
    """A balancer without affinity: each request goes to the next replica, whatever connection it came on."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.served: list[int] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def _run(self) -> None:
        async def main() -> None:
            server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(main())
        self._loop.run_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # One request a connection: the simplest balancer that keeps nothing.
        head = await reader.readuntil(b"\r\n\r\n")
        port = self.ports.pop(0)
        self.ports.append(port)
        if head.startswith(b"POST"):
            self.served.append(port)
        try:
            upstream, out = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
        out.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
        ways = {asyncio.ensure_future(self._copy(*way)) for way in ((reader, out), (upstream, writer))}
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, out):
            each.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            return

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@pytest.fixture
def serve() -> Iterator[Callable[..., Replica]]:
    """Start servers: `serve(allowed=3, prefix="/sd")`; all are closed at the end."""
    replicas: list[Replica] = []

    def start(*, prefix: str = "", access: Access | None = None, **engine: Any) -> Replica:
        place = Place(region="europe-west4", accelerator="nvidia-l4", version="0.1.0")
        settings = Settings(place=place, path_prefix=prefix, access=access or Access())
        replicas.append(Replica(DrawingEngine(**engine), settings))
        return replicas[-1]

    yield start
    for replica in replicas:
        replica.close()


@pytest.fixture
def balance() -> Iterator[Callable[..., RoundRobin]]:
    """Start a balancer over replicas: `balance(one, two)`."""
    balancers: list[RoundRobin] = []

    def start(*replicas: Replica) -> RoundRobin:
        balancers.append(RoundRobin([each.port for each in replicas]))
        return balancers[-1]

    yield start
    for each in balancers:
        each.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start a headless Chromium; tests that need it are skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")
    sync_api.expect.set_options(timeout=PATIENCE)
    path = next((each for each in INSTALLED if Path(each).exists()), None)
    with sync_api.sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        except sync_api.Error as error:
            pytest.skip(f"no Chromium is found: {str(error).splitlines()[0]}")
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """Give a fresh browser profile."""
    made = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme="light")
    made.set_default_timeout(PATIENCE)
    yield made
    made.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    """Give a tab; a script's error or anything against the policy fails the test."""
    tab = context.new_page()
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    refused = "Content Security Policy"
    tab.on("console", lambda message: faults.append(message.text) if refused in message.text else None)
    yield tab
    assert faults == []


@pytest.fixture
def screenshot() -> Callable[[Any, str], None]:
    """Keep a picture of the page in the folder named by SCREENSHOTS."""
    folder = Path(os.environ.get("SCREENSHOTS", "build/screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return lambda tab, name: tab.screenshot(path=folder / f"{name}.png", full_page=name.startswith("full"))
