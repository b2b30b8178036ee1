"""The demonstration from the first act to the clean-up, with the client running all the time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.clock import Clock
from controlplane.demo.acts import ACTS, Act, Shown
from controlplane.demo.stage import DemoError, Stage
from controlplane.demo.traffic import Tally, Traffic

SERVICE = Path(__file__).with_name("service.yaml")


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
class Performance:
    """The whole demonstration."""

    acts: tuple[Played, ...]
    requests: Tally
    seconds: float
    actions: int

    @property
    def succeeded(self) -> bool:
        """All five acts were played and no request failed."""
        return len(self.acts) == len(ACTS) and self.requests.failed == 0 and self.requests.ok > 0

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "succeeded": self.succeeded,
            "seconds": round(self.seconds, 2),
            "acts": [played.as_dict() for played in self.acts],
            "requests": self.requests.as_dict(),
            "actions": self.actions,
        }


@dataclass
class Play:
    """Plays the acts on a stage. `curtain` is told each act as it begins, and as it ends with the requests so far."""

    stage: Stage
    clock: Clock
    curtain: Callable[[Act, Played | None, Tally | None], None]
    _traffic: Traffic | None = None
    _played: list[Played] = field(default_factory=list)

    def perform(self) -> Performance:
        """Play all acts. Raises DemoError when the world does not get where an act needs it."""
        begun = self.clock.monotonic()
        try:
            for act in ACTS:
                self._play(act)
        finally:
            tally = self._traffic.stop() if self._traffic is not None else None
        if tally is None:
            raise DemoError("no act was played")
        return Performance(tuple(self._played), tally, self.clock.monotonic() - begun, len(self.stage.history))

    def _play(self, act: Act) -> None:
        self.curtain(act, None, None)
        begun = self.clock.monotonic()
        shown = act.play(self.stage)
        if self._traffic is None:  # from the first answer on, to the end
            self._traffic = Traffic(self.stage.address(), self.clock)
            self._traffic.start()
        self._played.append(Played(act, self.clock.monotonic() - begun, shown))
        self.curtain(act, self._played[-1], self._traffic.tally())
