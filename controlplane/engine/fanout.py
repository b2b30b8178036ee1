"""Doing many slow things at once, each with its own patience.

Threads, since the clients block; daemon threads, since one that hangs in a read must not hold up the process's exit;
no pool, since a pool lets a hanging task take a place from the others. What is not there in time is DeadlineExceeded,
and whatever it brings later is dropped.
"""

import contextvars
import queue
import threading
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from controlplane.clock import Clock
from controlplane.gateways.errors import DeadlineExceeded, GatewayError

K = TypeVar("K", bound=Hashable)


class Fanout(Generic[K]):
    """Tasks that run at once; their results are collected by key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._done: queue.SimpleQueue[tuple[K, object, BaseException | None]] = queue.SimpleQueue()
        self._results: dict[K, object] = {}
        self._errors: dict[K, BaseException] = {}
        self._ends: dict[K, float] = {}

    def start(self, key: K, task: Callable[[], object], *, seconds: float) -> None:
        """Begin a task that has this many seconds."""
        self._ends[key] = self._clock.monotonic() + seconds
        context = contextvars.copy_context()  # so that its log lines carry the run id

        def run() -> None:
            try:
                self._done.put((key, context.run(task), None))
            except BaseException as error:  # noqa: BLE001 - it is handed to the one who waits
                self._done.put((key, None, error))

        threading.Thread(target=run, name=f"fanout {key}", daemon=True).start()

    def wait(self, keys: Iterable[K]) -> None:
        """Wait until these tasks are done or out of time."""
        wanted = set(keys)
        while True:
            missing = [key for key in wanted if key not in self._results and key not in self._errors]
            if not missing:
                return
            left = max(self._ends[key] for key in missing) - self._clock.monotonic()
            try:
                key, value, error = self._done.get(timeout=max(0.0, left))
            except queue.Empty:
                for key in missing:
                    self._errors[key] = DeadlineExceeded("no answer within the time set for it")
                return
            if key in self._errors:
                continue  # it came too late
            if error is not None:
                self._errors[key] = error
            else:
                self._results[key] = value

    def error(self, key: K) -> GatewayError | None:
        """Give the error of a task that was waited for; None when it succeeded. Bugs are raised, not reported."""
        found = self._errors.get(key)
        if found is None or isinstance(found, GatewayError):
            return found
        raise found

    def result(self, key: K) -> object:
        """Give the result of a task that was waited for, or raise its error."""
        if key in self._errors:
            raise self._errors[key]
        return self._results[key]
