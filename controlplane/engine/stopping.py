"""Being asked to stop: SIGTERM comes ten seconds before the end on Cloud Run, so no new action is begun after it."""

import signal
import threading
from types import FrameType


class Stop:
    """A request to stop, from a signal or from code."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask to stop."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the request, at most this long; say whether it came."""
        return self._event.wait(seconds)

    def on_signals(self) -> None:
        """Take SIGTERM and SIGINT as the request. As process 1 of a container, Python has no handler of its own."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            self.request()

        signal.signal(signal.SIGTERM, handle)
        signal.signal(signal.SIGINT, handle)
