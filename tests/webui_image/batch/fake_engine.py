"""An engine without a model, for tests of the renderer: it draws flat pictures whose colour is the seed.

As a script it renders a parameters file with that engine in a process of its own, which tests kill.
"""

import queue
import signal
import sys
import threading
import time
from pathlib import Path

from PIL import Image

from webui_image.batch import run
from webui_image.batch.parameters import read
from webui_image.clock import SystemClock
from webui_image.values.errors import HandedBack, QueueFull
from webui_image.values.events import Cancelled, Failed, Finished, PictureDone, Queued, Step
from webui_image.values.ports import ModelInfo, Phase, Status


class FakeTicket:
    def __init__(self):
        self.cancelled = False

    def cancel(self):
        self.cancelled = True

    interrupt = skip = cancel


class FakeEngine:
    """Draws up to `together` requests at once, all of one shape, a step of `seconds` at a time."""

    def __init__(self, *, seconds=0.0, steps=2, together=4, limit=64, errors=None, model_hash="abcdef1234"):
        self.seconds, self.steps, self.together, self.limit = seconds, steps, together, limit
        self.errors = errors or {}
        self.model_hash = model_hash
        self.phase = Phase.STARTING
        self.drawn = []
        self.batches = []
        self.most_waiting = 0
        self.waiting = []
        self.lock = threading.Lock()
        self.wake = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def start(self):
        self.phase = Phase.READY
        self.thread.start()

    def submit(self, generation, *, user, deliver):
        with self.lock:
            if len(self.waiting) >= self.limit:
                raise QueueFull("full", 0.01)
            ticket = FakeTicket()
            self.waiting.append((generation, deliver, ticket))
            self.most_waiting = max(self.most_waiting, len(self.waiting))
        deliver(Queued(len(self.waiting)))
        self.wake.put(1)
        return ticket

    def status(self):
        return Status(self.phase, device="fake", model="fake")

    def models(self):
        return (ModelInfo("fake", "fake [abcdef1234]", "abcdef1234" + "0" * 54, "sd1"),)

    def loras(self):
        return ()

    embeddings = loras

    def drain(self, grace):
        self.close()

    def close(self):
        self.phase = Phase.DRAINING
        self.wake.put(None)
        if self.thread.ident is not None:
            self.thread.join(60)
        for _, deliver, _ in self.waiting:
            deliver(Failed(HandedBack("going away", 1)))

    def _work(self):
        while self.wake.get() is not None:
            with self.lock:
                if not self.waiting:
                    continue
                shape = _shape(self.waiting[0][0])
                batch = [each for each in self.waiting if _shape(each[0]) == shape][: self.together]
                self.waiting = [each for each in self.waiting if each not in batch]
            self.batches.append(len(batch))
            for step in range(self.steps):
                for _, deliver, _ in batch:
                    deliver(Step(0, step, self.steps))
                time.sleep(self.seconds)
            for each in batch:
                self._finish(*each)

    def _finish(self, generation, deliver, ticket):
        if ticket.cancelled:
            deliver(Cancelled())
            return
        error = self.errors.get(generation.prompt)
        if error is not None:
            deliver(Failed(error))
            return
        self.drawn.append((generation.prompt, generation.seed))
        colour = generation.seed.to_bytes(4, "big")[1:]
        image = Image.new("RGB", (generation.width, generation.height), tuple(colour))
        deliver(PictureDone(0, image, generation.seed, None))
        deliver(Finished(generation, "fake", self.model_hash, 0.5))


def _shape(generation):
    return generation.model, generation.width, generation.height


class Quiet:
    def waiting(self, status):
        pass

    def begin(self, asked, there):
        pass

    def outcome(self, outcome):
        pass


def main(parameters, out, seconds):
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    path = Path(parameters)
    result = run.render(
        read(path),
        path.parent,
        Path(out),
        lambda: FakeEngine(seconds=float(seconds)),
        options=run.Options(in_flight=8, grace=1.0),
        clock=SystemClock(),
        stop=stop,
        reporter=Quiet(),
    )
    return 75 if result.interrupted else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
