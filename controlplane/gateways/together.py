"""Many small calls to one API, a few dozen at once, within a common time."""

import queue
import threading
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from controlplane.clock import Clock
from controlplane.gateways.access import CONNECTIONS
from controlplane.gateways.errors import DeadlineExceeded, GatewayError
from controlplane.gateways.retrying import guarded

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def together(
    calls: Mapping[K, Callable[[], V]], *, seconds: float, clock: Clock, at_once: int = CONNECTIONS
) -> dict[K, V | GatewayError]:
    """Make all calls; give each one's answer or error. What is not there when the time is up is DeadlineExceeded.

    at_once: how many connections there are to make them on.

    Daemon threads: one that hangs must not hold up the process's exit.
    """
    todo: queue.SimpleQueue[K] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[K, V | GatewayError]] = queue.SimpleQueue()
    for key in calls:
        todo.put(key)

    def work() -> None:
        while True:
            try:
                key = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((key, guarded(calls[key], write=False)))
            except GatewayError as error:
                done.put((key, error))

    for _ in range(min(at_once, len(calls))):
        threading.Thread(target=work, name="together", daemon=True).start()
    found: dict[K, V | GatewayError] = {}
    end = clock.monotonic() + seconds
    while len(found) < len(calls):
        try:
            key, value = done.get(timeout=max(0.0, end - clock.monotonic()))
        except queue.Empty:
            break
        found[key] = value
    return {key: found.get(key, DeadlineExceeded("no answer within the time set for it")) for key in calls}
