"""Renders a parameters file into a folder, and goes on where an earlier run ended.

    <out>/<name>/<index>-<seed>.png   the pictures, with A1111's text and the digest of their parameters inside
    <out>/<name>/manifest.json        what became of each
    <out>/<name>/contact-sheet.png    to look at

The folder is the memory: a picture stands there whole under its name or not at all, and its digest tells whether it is
the one that is asked for. So a run may be killed at any moment, and the next one renders what is missing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from webui_image.batch import folder as folders
from webui_image.batch.manifest import Manifest, earlier_failures
from webui_image.batch.parameters import Batch, Picture
from webui_image.batch.parameters.files import LocalFiles
from webui_image.batch.rendering import Drawn, GaveUp, Outcome, Rendering, shape
from webui_image.batch.sheet import NAME as SHEET
from webui_image.batch.sheet import write_sheet
from webui_image.batch.sources import Sources
from webui_image.batch.written import Facts, with_facts, write
from webui_image.clock import Clock
from webui_image.values.errors import ModelError
from webui_image.values.ports import Engine, Phase, Status

_LOOK = 0.05


class Reporter(Protocol):
    """Who watches a run."""

    def waiting(self, status: Status) -> None:
        """Hear that the engine is not ready yet."""
        ...

    def begin(self, asked: int, there: int) -> None:
        """Hear how many pictures are asked for, and how many of them stood already."""
        ...

    def outcome(self, outcome: Outcome) -> None:
        """Hear that one picture more is done or failed."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """How a run goes."""

    only: range | None = None  # indexes
    force: bool = False  # render what stands there as well
    model: str = ""  # for pictures that name none
    in_flight: int = 32
    grace: float = 5.0


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended."""

    folder: Path
    asked: int  # in the whole file
    selected: int
    rendered: int
    there: int  # stood already
    failed: dict[int, str]  # by index
    stale: tuple[str, ...]
    interrupted: bool = False
    reason: str = ""  # why it ended early

    @property
    def state(self) -> str:
        """The word for it in the manifest."""
        if self.interrupted:
            return "interrupted"
        return "failed" if self.failed else "complete"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do."""

    folder: Path
    selected: tuple[Picture, ...]
    todo: tuple[Picture, ...]
    standing: folders.Standing


def plan(batch: Batch, out: Path, options: Options, hashes: Callable[[str], str] = lambda _: "") -> Plan:
    """Compare the file with the folder; writes nothing."""
    folder = out / batch.name
    standing = folders.standing(folder, batch.pictures, model=options.model, hashes=hashes)
    selected = tuple(picture for picture in batch.pictures if options.only is None or picture.index in options.only)
    if options.force:
        return Plan(folder, selected, selected, standing)
    there = standing.done.keys() | standing.movable.keys()
    return Plan(folder, selected, tuple(picture for picture in selected if picture.index not in there), standing)


def render(
    batch: Batch,
    source_folder: Path,
    out: Path,
    engine: Callable[[], Engine],
    *,
    options: Options,
    clock: Clock,
    stop: threading.Event,
    reporter: Reporter,
    hashes: Callable[[str], str] = lambda _: "",
) -> Result:
    """Render what is missing. `engine` is asked for only where there is something to do, and closed at the end.

    `stop` ends the run early: what is being drawn gets `options.grace` seconds. Raises FolderBusy, ModelError.
    """
    with folders.held(out / batch.name):
        planned = plan(batch, out, options, hashes)
        manifest = _manifest(planned, batch, options, clock)
        manifest.done |= folders.move(planned.folder, planned.standing, batch.pictures)
        there = len(planned.selected) - len(planned.todo)
        reporter.begin(len(planned.selected), there)
        run = _Run(manifest, reporter, options, clock, stop)
        reason = run.work(planned.todo, engine, Sources(LocalFiles(source_folder))) if planned.todo else ""
        if reason or run.left(planned.todo):  # pictures may have been written after the last word about them
            manifest.done |= folders.standing(planned.folder, planned.todo, model=options.model).done
        interrupted = run.left(planned.todo)
        if not interrupted:
            reason = ""
        if not interrupted and (run.rendered or planned.standing.movable or not (planned.folder / SHEET).exists()):
            finished = [picture for picture in batch.pictures if picture.index in manifest.done]
            write_sheet(planned.folder, batch.name, finished)
        failed = {p.index: manifest.failed[p.index] for p in planned.selected if p.index in manifest.failed}
        result = Result(
            planned.folder,
            len(batch.pictures),
            len(planned.selected),
            run.rendered,
            there,
            failed,
            planned.standing.stale,
            interrupted,
            reason or ("stopped by a signal" if interrupted else ""),
        )
        manifest.save(result.state)
        return result


def _manifest(planned: Plan, batch: Batch, options: Options, clock: Clock) -> Manifest:
    """Begin a manifest with what stands there, and with the failures that this run does not try again."""
    manifest = Manifest(planned.folder, batch, clock, options.model, stale=planned.standing.stale)
    todo = {picture.index for picture in planned.todo}
    manifest.done |= {index: facts for index, facts in planned.standing.done.items() if index not in todo}
    reasons = earlier_failures(planned.folder)
    for picture in batch.pictures:
        if reasons and picture.index not in todo and picture.index not in manifest.done:
            reason = reasons.get(manifest.digest(picture))
            if reason is not None:
                manifest.fail(picture, reason)
    return manifest


class _Run:
    def __init__(
        self, manifest: Manifest, reporter: Reporter, options: Options, clock: Clock, stop: threading.Event
    ) -> None:
        self._manifest = manifest
        self._reporter = reporter
        self._options = options
        self._clock = clock
        self._stop = stop
        self.rendered = 0

    def work(self, todo: tuple[Picture, ...], engine: Callable[[], Engine], sources: Sources) -> str:
        """Render; gives the reason where the engine went away, an empty text otherwise."""
        self._manifest.save("rendering")
        started = engine()
        try:
            status = until_ready(started, self._clock, self._stop, self._reporter)
            if status is None:
                return ""
            self._manifest.device = status.device
            rendering = Rendering(
                started,
                sources,
                self._clock,
                self._save,
                self._stop,
                self._options.in_flight,
                self._options.grace,
            )
            for outcome in rendering.run(sorted(todo, key=shape)):
                self._take(outcome)
        except GaveUp as error:
            return str(error)
        except ModelError:
            self._manifest.save("interrupted")
            raise
        finally:
            started.close()
        return ""

    def left(self, todo: tuple[Picture, ...]) -> bool:
        """Whether something of what was to be done is neither done nor failed."""
        manifest = self._manifest
        return any(p.index not in manifest.done and p.index not in manifest.failed for p in todo)

    def _take(self, outcome: Outcome) -> None:
        if outcome.facts is not None:
            self.rendered += 1
            self._manifest.finish(outcome.picture, outcome.facts)
        else:
            self._manifest.fail(outcome.picture, outcome.error)
        self._reporter.outcome(outcome)
        self._manifest.save_if_due()

    def _save(self, drawn: Drawn) -> Facts:
        """Write a picture; runs in a writer's thread."""
        content, facts = encoded(drawn, self._manifest.digest(drawn.picture))
        write(self._manifest.folder / drawn.picture.file_name, content)
        return facts


def until_ready(engine: Engine, clock: Clock, stop: threading.Event, reporter: Reporter) -> Status | None:
    """Wait until the engine takes requests; None where the stop came first. Raises ModelError, GaveUp."""
    engine.start()
    while (status := engine.status()).phase is not Phase.READY:
        if status.phase is Phase.FAILED:
            raise ModelError(status.model or "model", f"cannot be loaded: {status.detail}")
        if status.phase in {Phase.OUT_OF_MEMORY, Phase.WEDGED, Phase.DRAINING}:
            raise GaveUp(f"the engine is {status.phase}: {status.detail}")
        reporter.waiting(status)
        if clock.wait(stop, _LOOK):
            return None
    return status


def encoded(drawn: Drawn, digest: str) -> tuple[bytes, Facts]:
    """Give a picture's file with A1111's text and its own facts inside, and the facts."""
    from webui_image.pictures import encode
    from webui_image.prompts import infotext

    done, finished = drawn.done, drawn.finished
    text = infotext.write(
        finished.generation,
        model=finished.model,
        model_hash=finished.model_hash,
        seed=done.seed,
        variation_seed=done.variation_seed,
        drawn_at=done.drawn_at,
    )
    facts = Facts(digest, round(finished.seconds, 3), finished.model, finished.model_hash)
    return with_facts(encode.png(done.image, text), facts), facts
