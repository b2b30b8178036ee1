"""The demonstration from the first act to the clean-up, with the clients running all the time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.clock import Clock
from controlplane.demo.acts import ACTS, Act, Shown
from controlplane.demo.drawing import Picture
from controlplane.demo.painting import Painting
from controlplane.demo.stage import DemoError, Stage
from controlplane.demo.tally import Tally
from controlplane.demo.traffic import Traffic

SERVICE = Path(__file__).with_name("service.yaml")
LIGHT_SERVICE = Path(__file__).with_name("light.yaml")
PAGES = ("/about", "/")


@dataclass(frozen=True, slots=True)
class Played:
    """An act that was played, and how long it took."""

    act: Act
    seconds: float
    shown: Shown

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "name": self.act.name,
            "title": self.act.title,
            "seconds": round(self.seconds, 2),
            "shown": {"text": list(self.shown.lines), **self.shown.data},
        }


@dataclass(frozen=True, slots=True)
class Counts:
    """What the clients count: pages that were read, and pictures that were drawn."""

    pages: Tally
    pictures: Tally

    @property
    def failed(self) -> int:
        """Requests that did not end with what was asked for."""
        return self.pages.failed + self.pictures.failed


@dataclass(frozen=True, slots=True)
class Performance:
    """The whole demonstration."""

    acts: tuple[Played, ...]
    counts: Counts
    drawn: dict[str, list[Picture]]  # some of the pictures, by the place that drew them
    seconds: float
    actions: int

    @property
    def succeeded(self) -> bool:
        """All five acts were played, pages were read and pictures drawn, and no request failed."""
        done = self.counts.pages.ok and self.counts.pictures.ok and not self.counts.failed
        return len(self.acts) == len(ACTS) and bool(done)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "succeeded": self.succeeded,
            "seconds": round(self.seconds, 2),
            "acts": [played.as_dict() for played in self.acts],
            "requests": self.counts.pages.as_dict(),
            "pictures": self.counts.pictures.as_dict(),
            "actions": self.actions,
        }


class Clients:
    """Who asks all the time: readers of pages, and painters of pictures."""

    def __init__(self, address: str, clock: Clock) -> None:
        self._readers = Traffic(address, clock, workers=2, pause=0.05, paths=PAGES)
        self._painters = Painting(address, clock, pause=1.0)
        self._readers.start()
        self._painters.start()

    def counts(self) -> Counts:
        """Count up to now."""
        return Counts(self._readers.tally(), self._painters.tally())

    def stop(self) -> Counts:
        """Ask for no more, and give the final count."""
        pictures = self._painters.stop()
        return Counts(self._readers.stop(), pictures)

    def drawn(self) -> dict[str, list[Picture]]:
        """Give some of the pictures, by the place that drew them."""
        return self._painters.pictures()


@dataclass
class Play:
    """Plays the acts on a stage. `curtain` is told each act as it begins, and as it ends with the counts so far."""

    stage: Stage
    clock: Clock
    curtain: Callable[[Act, Played | None, Counts | None], None]
    _clients: Clients | None = None
    _played: list[Played] = field(default_factory=list)

    def perform(self) -> Performance:
        """Play all acts. Raises DemoError when the world does not get where an act needs it."""
        begun = self.clock.monotonic()
        try:
            for act in ACTS:
                self._play(act)
        finally:
            counts = self._clients.stop() if self._clients is not None else None
        if counts is None or self._clients is None:
            raise DemoError("no act was played")
        seconds = self.clock.monotonic() - begun
        return Performance(tuple(self._played), counts, self._clients.drawn(), seconds, len(self.stage.history))

    def _play(self, act: Act) -> None:
        self.curtain(act, None, None)
        begun = self.clock.monotonic()
        shown = act.play(self.stage)
        if self._clients is None:  # from the first answer on, to the end
            self._clients = Clients(self.stage.address(), self.clock)
        self._played.append(Played(act, self.clock.monotonic() - begun, shown))
        self.curtain(act, self._played[-1], self._clients.counts())
