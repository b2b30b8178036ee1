"""Convergence: how long an edit takes to reach the load balancer, and how long what it removes is still known there.

Google's load balancer follows its objects after minutes, edit by edit; so snapshots wait in a queue here, each for the
delay of its time. Envoy reads routes and clusters from different files, so a backend service stays for a moment after
the last route to it: no request may meet a route whose cluster is gone.
"""

from collections import deque
from collections.abc import Iterator

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.loadbalancer.wanted import Backend, Wanted

LINGER_SECONDS = 2.0


class Convergence:
    """Snapshots on their way in, and backend services on their way out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: deque[tuple[float, Wanted]] = deque()
        self._lingering: dict[str, tuple[float, Backend]] = {}

    def queue(self, wanted: Wanted, seconds: float) -> None:
        """Let a snapshot take effect after so many seconds, and after those that came before it."""
        self._pending.append((self._clock.monotonic() + seconds, wanted))

    def due(self) -> Iterator[Wanted]:
        """Give the snapshots whose time has come, the oldest first, and forget what has lingered long enough."""
        now = self._clock.monotonic()
        self._lingering = {name: entry for name, entry in self._lingering.items() if entry[0] > now}
        while self._pending and self._pending[0][0] <= now:
            yield self._pending.popleft()[1]

    def replace(self, old: Wanted, new: Wanted) -> None:
        """Let the backend services linger that only the old snapshot uses."""
        left = {backend.name: backend for backend in old.backends()}
        for backend in new.backends():
            left.pop(backend.name, None)
        until = self._clock.monotonic() + LINGER_SECONDS
        self._lingering |= {name: (until, backend) for name, backend in left.items()}
        for backend in new.backends():
            self._lingering.pop(backend.name, None)

    @property
    def pending(self) -> list[Wanted]:
        """The snapshots that are still to take effect, the oldest first."""
        return [wanted for _, wanted in self._pending]

    @property
    def lingering(self) -> list[Backend]:
        """The backend services that no route names any more."""
        return [backend for _, backend in self._lingering.values()]

    def seconds_left(self) -> float | None:
        """Give the seconds until something takes effect or goes by itself; None where nothing will."""
        dues = [due for due, _ in list(self._pending)[:1]] + [until for until, _ in self._lingering.values()]
        return max(min(dues) - self._clock.monotonic(), 0.01) if dues else None
