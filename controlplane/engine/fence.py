"""One gate before every write: the lease, the end of the pass, a request to stop."""

from controlplane.clock import Clock
from controlplane.engine.lease import FenceLost, Lease
from controlplane.engine.stopping import Stop


class Fence:
    """Lets writes pass while all three allow it. `cut_off` tells that it had to refuse one."""

    def __init__(self, lease: Lease | None, clock: Clock, stop: Stop, *, ends: float) -> None:
        self._lease, self._clock, self._stop, self._ends = lease, clock, stop, ends
        self.cut_off = False

    @property
    def number(self) -> int:
        """The fence number that writes carry."""
        return self._lease.fence if self._lease else 0

    @property
    def left(self) -> float:
        """Seconds until the pass ends."""
        return max(0.0, self._ends - self._clock.monotonic())

    def check(self, *, destructive: bool = False) -> None:
        """Let a write pass, or raise FenceLost."""
        refusal = self._refusal()
        if refusal or self._lease is None:
            self.cut_off = True
            raise FenceLost(refusal)
        try:
            self._lease.check(destructive=destructive)
        except FenceLost:
            self.cut_off = True
            raise

    def _refusal(self) -> str:
        if self._lease is None:
            return "a dry run writes nothing"
        if self._stop.requested:
            return "asked to stop"
        return "the pass is out of time" if self._clock.monotonic() >= self._ends else ""
