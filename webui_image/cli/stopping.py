"""SIGTERM and Ctrl-C while pictures are rendered: what is nearly done is finished, and a second one does not wait."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from webui_image.cli.output import note


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and Ctrl-C set; a second one ends the run at once."""
    stop = threading.Event()

    def told(number: int, _frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        note(f"{signal.Signals(number).name}: finishing what is nearly done; once more ends at once")

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
