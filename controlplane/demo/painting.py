"""Clients that have pictures drawn all the time, count them, and keep some of each place's to show."""

import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field

from controlplane.clock import Clock
from controlplane.demo.drawing import TIMEOUT, GivenUp, Painter, Picture, Wish
from controlplane.demo.tally import KEPT_ERRORS, Tally, tally_of

KEPT_PICTURES = 8  # of each place
PROMPTS = (
    "a red circle on a white background",
    "a yellow star on a blue background",
    "a purple heart on a pink background",
    "a green triangle on a black background",
    "an orange square on a gray background",
    "a cyan diamond on a white background",
    "a pink ring on a black background",
    "a blue cross on a yellow background",
)


@dataclass
class Painting:
    """`workers` threads that each have a picture drawn, rest for `pause` seconds, and go on.

    Every other picture is asked for through the streaming API, the others through AUTOMATIC1111's.
    """

    address: str
    clock: Clock
    workers: int = 2
    pause: float = 0.5
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _threads: list[threading.Thread] = field(default_factory=list)
    _latencies: list[float] = field(default_factory=list)
    _places: Counter[str] = field(default_factory=Counter)
    _kept: dict[str, list[Picture]] = field(default_factory=dict)
    _errors: list[str] = field(default_factory=list)
    _failed: int = 0
    _again: int = 0

    def start(self) -> None:
        """Begin."""
        for number in range(self.workers):
            thread = threading.Thread(target=self._work, name=f"painter-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> Tally:
        """Ask for no more, wait for what is being drawn, and give the final count."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT)
        return self.tally()

    def tally(self) -> Tally:
        """Count up to now."""
        with self._lock:
            return tally_of(self._latencies, self._places, self._failed, self._errors, self._again)

    def pictures(self) -> dict[str, list[Picture]]:
        """Give the latest pictures of each place, in the order in which the places first drew one."""
        with self._lock:
            return {place: list(found) for place, found in self._kept.items()}

    def _work(self) -> None:
        painter = Painter(self.address, self.clock)
        while not self._stop.is_set():
            number = next(self._numbers)
            wish = Wish(PROMPTS[number % len(PROMPTS)], seed=number, streamed=number // len(PROMPTS) % 2 == 0)
            try:
                picture = painter.draw(wish)
            except GivenUp as error:
                self._record_failure(str(error))
            else:
                self._record(picture)
            self._stop.wait(self.pause)

    def _record(self, picture: Picture) -> None:
        with self._lock:
            self._latencies.append(picture.seconds)
            self._places[picture.place] += 1
            self._again += picture.attempts > 1
            self._kept.setdefault(picture.place, []).append(picture)
            del self._kept[picture.place][:-KEPT_PICTURES]

    def _record_failure(self, what: str) -> None:
        with self._lock:
            self._failed += 1
            if len(self._errors) < KEPT_ERRORS:
                self._errors.append(what)
