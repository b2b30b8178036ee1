"""How a long run is watched: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from webui_image.cli.output import note, notes

if TYPE_CHECKING:
    from webui_image.batch.rendering import Outcome
    from webui_image.batch.run import Reporter
    from webui_image.clock import Clock
    from webui_image.values.ports import Status

_LINE_SECONDS = 10.0


@contextmanager
def watching(clock: Clock) -> Iterator[Reporter]:
    """Give whoever reports to this terminal or log."""
    if not notes.is_terminal:
        yield _Lines(clock)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=notes, transient=False) as progress:
        yield _Bar(progress, clock)


class _Speed:
    """Counts pictures from the first one on, so that loading a model does not make it look slow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()
        self.count = 0
        self.failed = 0

    def begin(self) -> None:
        self._since = self._clock.monotonic()

    def take(self, outcome: Outcome) -> None:
        self.count += outcome.facts is not None
        self.failed += outcome.facts is None

    @property
    def rate(self) -> float:
        return self.count / max(0.001, self._clock.monotonic() - self._since)

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.rate:.2f} pictures/s{failed}"


class _Bar:
    def __init__(self, progress: Progress, clock: Clock) -> None:
        self._progress = progress
        self._speed = _Speed(clock)
        self._task: TaskID | None = None

    def waiting(self, status: Status) -> None:
        if self._task is not None:
            self._progress.update(self._task, description=f"{status.phase} {status.detail}".strip())
        self._speed.begin()

    def begin(self, asked: int, there: int) -> None:
        self._task = self._progress.add_task("rendering", total=asked, completed=there, speed="")

    def outcome(self, outcome: Outcome) -> None:
        self._speed.take(outcome)
        if outcome.error:
            self._progress.console.print(Text(_told(outcome), style="red"), soft_wrap=True)
        if self._task is not None:
            self._progress.update(self._task, description="rendering", advance=1, speed=str(self._speed))


class _Lines:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._speed = _Speed(clock)
        self._phase = ""
        self._asked = self._ended = 0
        self._due = 0.0

    def waiting(self, status: Status) -> None:
        if status.phase != self._phase:
            self._phase = status.phase
            note(f"engine: {status.phase}")
        self._speed.begin()

    def begin(self, asked: int, there: int) -> None:
        self._asked, self._ended = asked, there
        note(f"{there} of {asked} pictures are there already" if there else f"{asked} pictures to render")

    def outcome(self, outcome: Outcome) -> None:
        self._speed.take(outcome)
        self._ended += 1
        if outcome.error:
            note(_told(outcome))
        now = self._clock.monotonic()
        if now >= self._due or self._ended == self._asked:
            self._due = now + _LINE_SECONDS
            left = (self._asked - self._ended) / self._speed.rate if self._speed.count else 0.0
            note(f"{self._ended} of {self._asked} pictures, {self._speed}, about {left:.0f} s left")


def _told(outcome: Outcome) -> str:
    picture = outcome.picture
    return f"{picture.file}:{picture.line}: picture {picture.index} failed: {outcome.error}"
