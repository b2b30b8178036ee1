"""Being asked to stop: SIGTERM comes ten seconds before the end on Cloud Run, so no new action is begun after it.

Work that hangs in a request does not see the request to stop. It runs in a thread, then, and the main thread, in which
Python handles signals, waits for whichever comes first; when the work does not come to its end in the grace that is
left, it is given up as a pass is that runs out of time: the lease is given back, and the next pass looks again.
"""

import contextvars
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
GRACE = 4.0
"""Seconds that work gets to end by itself. Giving the lease back takes up to three more; Cloud Run kills after ten."""


class Stop:
    """A request to stop, from a signal or from code."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._told: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask to stop. Asking again changes nothing."""
        if self.requested:
            return
        self._event.set()
        for tell in self._told:
            tell()

    def tell(self, callback: Callable[[], None]) -> None:
        """Have this called, from a signal handler as it may be, when the request comes; at once when it has come."""
        self._told.append(callback)
        if self.requested:
            callback()

    def wait(self, seconds: float) -> bool:
        """Wait for the request, at most this long; say whether it came."""
        return self._event.wait(seconds)

    @contextmanager
    def on_signals(self, *numbers: signal.Signals) -> Iterator[None]:
        """Take these signals as the request. Python as process 1 of a container has no handler of its own."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            self.request()

        before = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def until_stopped(work: Callable[[], T], stop: Stop, *, given_up: Callable[[], T], grace: float = GRACE) -> T:
    """Do the work and give its result; when it does not end within `grace` of a request to stop, that of `given_up`.

    An exception of the work is raised here. One that comes to the waiting thread, such as KeyboardInterrupt, passes
    through after `given_up` was called.
    """
    # Its put is safe in a signal handler that comes in the midst of its get.
    news: queue.SimpleQueue[str] = queue.SimpleQueue()
    results: list[T] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            results.append(context.run(work))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            errors.append(error)
        news.put("done")

    thread = threading.Thread(target=run, name="pass", daemon=True)
    thread.start()
    stop.tell(lambda: news.put("stop"))  # it may say so twice
    try:
        if news.get() == "stop":
            thread.join(grace)
            if thread.is_alive():
                return given_up()
    except BaseException:
        given_up()
        raise
    if errors:
        raise errors[0]
    return results[0]
