"""Renders one shard of a batch: some pictures of the whole file, into a place that other workers write to as well.

    <out>/<name>/<index>-<seed>.png        the pictures
    <out>/<name>/shards/<number>.json      what became of a shard's pictures, once all of them are done or failed
    <out>/<name>/manifest.json             what became of all, and
    <out>/<name>/contact-sheet.png         the pictures to look at, written by whoever ends the last shard

Nobody hands out work. A worker takes its shard's pictures in an order of its own and looks before each whether somebody
has published it meanwhile, so that several at one shard share it. The pictures say themselves what they were made with,
so a worker may be killed at any moment, and the next one at the shard renders what is missing.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from webui_image.batch.parameters import Batch, Picture
from webui_image.batch.places import Place, PlaceFiles
from webui_image.batch.rendering import Drawn, GaveUp, Outcome, Rendering, shape
from webui_image.batch.run import Options, Reporter, encoded, until_ready
from webui_image.batch.sources import Sources
from webui_image.batch.written import Facts, facts_in
from webui_image.clock import Clock
from webui_image.values.ports import Engine

FOLDER = "shards"
_FRESH = 2.0  # seconds that a listing is taken to hold


@dataclass(frozen=True, slots=True)
class Shard:
    """Which pictures: number `number` of the cuts of `size` pictures each."""

    number: int
    size: int

    @property
    def indexes(self) -> range:
        """The indexes of its pictures; the last shard holds fewer."""
        return range(self.number * self.size, (self.number + 1) * self.size)

    @property
    def record(self) -> str:
        """The name of its record."""
        return f"{FOLDER}/{self.number:05d}.json"


@dataclass(frozen=True, slots=True)
class Worker:
    """Who renders: a name that no other has at the same time, and what is told of where it runs."""

    name: str
    told: dict[str, str] = field(default_factory=dict)  # region, gpu, capacity


@dataclass(frozen=True, slots=True)
class ShardResult:
    """How a shard ended: counts of pictures, or why it did not. gave_up: not for a stop, but for the engine's sake."""

    asked: int
    rendered: int
    there: int
    failed: dict[int, str]
    interrupted: bool = False
    reason: str = ""
    gave_up: bool = False


def shards_of(batch: Batch, size: int) -> int:
    """Give how many shards a batch is cut into."""
    return -(-len(batch.pictures) // size)


def render_shard(
    batch: Batch,
    shard: Shard,
    place: Place,
    engine: Callable[[], Engine],
    *,
    files: Place,
    worker: Worker,
    options: Options,
    clock: Clock,
    stop: threading.Event,
    reporter: Reporter,
) -> ShardResult:
    """Render what is missing of a shard and leave its record. `place` is the batch's folder, `files` the parameters'.

    `engine` is asked for only where there is something to do, and closed at the end. Raises PlaceError, NotReady,
    ModelError.
    """
    pictures = [batch.pictures[index] for index in shard.indexes if index < len(batch.pictures)]
    work = _Work(batch, pictures, place, worker=worker, options=options, clock=clock)
    known = work.look()
    missing = [picture for picture in pictures if picture.index not in work.done]
    reporter.begin(len(pictures), len(pictures) - len(missing))
    reason = work.render(missing, engine, PlaceFiles(files), stop, reporter) if missing else ""
    left = [p for p in pictures if p.index not in work.done and p.index not in work.failed]
    if left:
        told = reason or "stopped by a signal"
        gave_up = bool(reason) and not stop.is_set()
        return ShardResult(
            len(pictures), work.rendered, known, work.failed, interrupted=True, reason=told, gave_up=gave_up
        )
    place.publish(shard.record, json.dumps(work.record(shard), indent=1).encode())
    return ShardResult(len(pictures), work.rendered, len(pictures) - work.rendered - len(work.failed), work.failed)


class _Work:
    def __init__(
        self,
        batch: Batch,
        pictures: Sequence[Picture],
        place: Place,
        *,
        worker: Worker,
        options: Options,
        clock: Clock,
    ) -> None:
        self._batch, self._pictures, self._place, self._worker = batch, pictures, place, worker
        self._options, self._clock = options, clock
        self._listed: frozenset[str] = frozenset()
        self._listed_at = float("-inf")
        self.done: dict[int, Facts] = {}
        self.failed: dict[int, str] = {}
        self.rendered = 0
        self.device = ""

    def look(self) -> int:
        """Take down the pictures that stand there and are the ones that are asked for; give how many."""
        names = self._names()
        for picture in self._pictures:
            if picture.index not in self.done and picture.file_name in names:
                facts = facts_in(self._place.read(picture.file_name) or b"")
                if facts is not None and facts.digest == picture.digest(self._options.model):
                    self.done[picture.index] = facts
        return len(self.done)

    def render(
        self,
        missing: Sequence[Picture],
        engine: Callable[[], Engine],
        files: PlaceFiles,
        stop: threading.Event,
        reporter: Reporter,
    ) -> str:
        """Render; gives the reason where the engine went away, an empty text otherwise."""
        started = engine()
        try:
            status = until_ready(started, self._clock, stop, reporter)
            if status is None:
                return ""
            self.device = status.device
            rendering = Rendering(
                started, Sources(files), self._clock, self._save, stop, self._options.in_flight, self._options.grace
            )
            for outcome in rendering.run(self._in_turn(missing, stop)):
                self._take(outcome)
                reporter.outcome(outcome)
        except GaveUp as error:
            return str(error)
        finally:
            started.close()
        if not stop.is_set():
            self.look()
        return ""

    def _in_turn(self, missing: Sequence[Picture], stop: threading.Event) -> Iterator[Picture]:
        """Give the pictures in this worker's own order, without those that another has published meanwhile."""
        stale = self._names()  # what stands there and was not taken for done is an older picture
        for picture in sorted(missing, key=lambda p: (*shape(p)[:-1], self._own(p))):
            if stop.is_set():
                return
            if picture.file_name not in self._names() or picture.file_name in stale:
                yield picture

    def _own(self, picture: Picture) -> bytes:
        return hashlib.sha256(f"{self._worker.name} {picture.index}".encode()).digest()

    def _names(self) -> frozenset[str]:
        now = self._clock.monotonic()
        if now - self._listed_at >= _FRESH:
            self._listed, self._listed_at = self._place.names(), now
        return self._listed

    def _take(self, outcome: Outcome) -> None:
        if outcome.facts is not None:
            self.rendered += 1
            self.done[outcome.picture.index] = outcome.facts
        else:
            self.failed[outcome.picture.index] = outcome.error

    def _save(self, drawn: Drawn) -> Facts:
        """Publish a picture; runs in a writer's thread."""
        content, facts = encoded(drawn, drawn.picture.digest(self._options.model))
        self._place.publish(drawn.picture.file_name, content)
        return facts

    def record(self, shard: Shard) -> dict[str, Any]:
        """Give what became of each picture, as `manifest.json` takes it."""
        return {
            "version": 1,
            "parameters": self._batch.sha256,
            "shard": shard.number,
            "size": shard.size,
            "model": self._options.model,
            "device": self.device,
            **self._worker.told,
            "done": {str(index): _told(facts) for index, facts in sorted(self.done.items())},
            "failed": {str(index): reason for index, reason in sorted(self.failed.items())},
        }


def _told(facts: Facts) -> dict[str, Any]:
    return {
        "sha256": facts.digest,
        "seconds": round(facts.seconds, 3),
        "model": facts.model,
        "model_hash": facts.model_hash,
    }
