"""Keeps an engine busy with the pictures of a batch: enough of them in flight to share its steps, never all at once.

One loop owns everything: the engine's thread and the writers' threads only put messages into its queue. A picture's
place in flight is free when its file is written, so memory holds as many pictures as are in flight.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from webui_image.batch.parameters import Picture
from webui_image.batch.sources import Sources
from webui_image.batch.written import Facts
from webui_image.clock import Clock
from webui_image.values.errors import Invalid, NotReady, QueueFull, WebUIError, Wedged
from webui_image.values.events import Cancelled, Event, Failed, Finished, PictureDone, Step
from webui_image.values.ports import Engine, Phase, Ticket

USER = "batch"
_LOOK = 0.2  # seconds between looks at the signals and the engine's health
_PATIENCE = 60.0  # seconds that an engine may be not ready in the middle of a run
_CANCELLING = 5.0  # seconds until cancelled pictures must have been given back


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture that the engine finished."""

    picture: Picture
    done: PictureDone
    finished: Finished


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one picture: its facts once its file is written, or the reason why there is none."""

    picture: Picture
    facts: Facts | None = None
    error: str = ""


@dataclass(slots=True)
class _Flight:
    picture: Picture
    ticket: Ticket | None = None
    done: PictureDone | None = None
    begun: bool = False


class GaveUp(WebUIError):  # noqa: N818
    """The engine went away in the middle; what is written stays, the rest is for the next run."""


@dataclass(slots=True)
class Rendering:
    """One run of an engine that is ready. `save` writes a drawn picture and gives its facts; it runs in threads."""

    engine: Engine
    sources: Sources
    clock: Clock
    save: Callable[[Drawn], Facts]
    stop: threading.Event
    in_flight: int = 32
    grace: float = 5.0  # seconds for what is being drawn when the stop comes
    _flights: dict[int, _Flight] = field(default_factory=dict)
    _messages: queue.SimpleQueue[tuple[int, Any]] = field(default_factory=queue.SimpleQueue)
    _writing: int = 0
    _writers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max_workers=2, thread_name_prefix="write")
    )

    def run(self, pictures: Iterable[Picture]) -> Iterator[Outcome]:
        """Give the outcome of each picture as it comes; after a stop, of those that were still finished.

        They are taken in the order given, in which those of one shape should stand together (`shape`).

        Raises GaveUp where the engine goes away; the outcomes before it hold.
        """
        todo = iter(pictures)
        held: Picture | None = None
        waited_since: float | None = None
        try:
            while not self.stop.is_set():
                while len(self._flights) + self._writing < self.in_flight:
                    picture = held or next(todo, None)
                    held = None
                    if picture is None:
                        break
                    try:
                        self._submit(picture)
                        waited_since = None
                    except (QueueFull, NotReady) as error:
                        held = picture
                        waited_since = self._patience(error, waited_since)
                        break
                    except WebUIError as error:
                        yield Outcome(picture, error=str(error))
                if held is None and not self._flights and not self._writing:
                    return
                yield from self._handle(_LOOK)
            yield from self._wind_up()
        finally:
            for flight in self._flights.values():
                if flight.ticket is not None:
                    flight.ticket.cancel()
            self._writers.shutdown(wait=True)

    def _submit(self, picture: Picture) -> None:
        generation = self.sources.complete(picture)
        flight = _Flight(picture)
        number = picture.index
        self._flights[number] = flight
        try:
            flight.ticket = self.engine.submit(
                generation, user=USER, deliver=lambda event: self._messages.put((number, event))
            )
        except BaseException:
            del self._flights[number]
            raise

    def _patience(self, error: WebUIError, since: float | None) -> float:
        """Give since when the engine takes nothing. Raises GaveUp when that is too long with nothing in flight."""
        now = self.clock.monotonic()
        phase = self.engine.status().phase
        if phase in {Phase.FAILED, Phase.WEDGED, Phase.DRAINING}:
            raise GaveUp(f"the engine is {phase}: {error}")
        if since is not None and not self._flights and now - since > _PATIENCE:
            raise GaveUp(f"the engine took nothing for {_PATIENCE:.0f} seconds: {error}")
        return now if since is None or self._flights else since

    def _handle(self, seconds: float) -> Iterator[Outcome]:
        """Take the messages that are there, waiting for the first one."""
        try:
            message = self._messages.get(timeout=seconds)
        except queue.Empty:
            if self._flights and self.engine.status().phase in {Phase.WEDGED, Phase.FAILED}:
                status = self.engine.status()
                raise GaveUp(f"the engine is {status.phase}: {status.detail}") from None
            return
        for _ in itertools.count():
            outcome = self._message(*message)
            if outcome is not None:
                yield outcome
            try:
                message = self._messages.get_nowait()
            except queue.Empty:
                return

    def _message(self, number: int, message: Event | Future[Facts]) -> Outcome | None:
        if isinstance(message, Future):
            self._writing -= 1
            flight = self._flights.pop(number)
            return _written(flight.picture, message)
        flight = self._flights[number]
        match message:
            case Step():
                flight.begun = True
            case PictureDone():
                flight.begun = True
                flight.done = message
            case Finished():
                return self._finished(flight, message)
            case Failed():
                del self._flights[number]
                if isinstance(message.error, NotReady | Wedged):
                    raise GaveUp(str(message.error))
                return Outcome(flight.picture, error=str(message.error))
            case Cancelled():
                del self._flights[number]
        return None

    def _finished(self, flight: _Flight, finished: Finished) -> Outcome | None:
        number = flight.picture.index
        if flight.done is None or flight.done.partial:
            del self._flights[number]
            return Outcome(flight.picture, error="the engine gave no whole picture; run it again")
        drawn = Drawn(flight.picture, flight.done, finished)
        flight.done = None
        self._writing += 1
        self._writers.submit(self.save, drawn).add_done_callback(lambda saved: self._messages.put((number, saved)))
        return None

    def _wind_up(self) -> Iterator[Outcome]:
        """Give back what has not begun, wait a little for the rest, then give that back as well."""
        for flight in list(self._flights.values()):
            if not flight.begun and flight.ticket is not None:
                flight.ticket.cancel()
        end = self.clock.monotonic() + self.grace
        cancelled = False
        while self._flights:
            left = end - self.clock.monotonic()
            if left <= 0 and cancelled:
                return
            if left <= 0:
                cancelled, end = True, self.clock.monotonic() + _CANCELLING
                for flight in self._flights.values():
                    if flight.ticket is not None:
                        flight.ticket.cancel()
            yield from self._handle(max(0.01, min(_LOOK, left)))


def shape(picture: Picture) -> tuple[Any, ...]:
    """Give what pictures must have in common to share the engine's steps; those stand together in the order."""
    generation = picture.generation
    loras = tuple((lora.name, lora.weight) for lora in generation.loras)
    return (
        generation.model,
        generation.width,
        generation.height,
        generation.hires is not None,
        picture.source is not None,
        loras,
        picture.index,
    )


def _written(picture: Picture, saved: Future[Facts]) -> Outcome:
    error = saved.exception()
    if error is None:
        return Outcome(picture, saved.result())
    if isinstance(error, OSError):
        raise GaveUp(f"{error.filename or 'the folder'}: cannot be written: {error.strerror or error}") from error
    if isinstance(error, Invalid):
        return Outcome(picture, error=str(error))
    raise error
