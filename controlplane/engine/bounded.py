"""The config cluster within the time of a pass: no call to it, however it hangs, holds the pass beyond its end.

The clients have time-outs of their own, but a pass makes several calls, and the patience of each adds up. A call that
is given up goes on in its thread, at most to the end of that one request; the fence lets none follow it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

from controlplane.clock import Clock
from controlplane.engine.fanout import Fanout
from controlplane.engine.ports import ConfigCluster, Json, Manifest
from controlplane.gateways.errors import Ambiguous, DeadlineExceeded
from ingress.wiring import Kind

T = TypeVar("T")
LAST_WORD = 2.0
"""Seconds that giving the lease back gets in any case: the next run would wait longer for it."""


class PassTime:
    """When the present pass ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._ends, self._least = clock, float("inf"), 0.0

    def begin(self, seconds: float) -> float:
        """Start the time of a pass; give its end."""
        self._ends, self._least = self._clock.monotonic() + seconds, 0.0
        return self._ends

    def cut(self) -> None:
        """End the pass now: what is begun from here on has the last word's time and no more."""
        self._ends = min(self._ends, self._clock.monotonic())

    def last_word(self) -> None:
        """Let what follows have a little time although the pass may have none left."""
        self._least = LAST_WORD

    @property
    def over(self) -> bool:
        """Whether the pass is out of time."""
        return self._clock.monotonic() >= self._ends

    def within(self, call: Callable[[], T], *, write: bool = False) -> T:
        """Make a call. Raises DeadlineExceeded when the pass ends before it does, for a write Ambiguous."""
        left = max(self._least, self._ends - self._clock.monotonic())
        if left <= 0:
            raise DeadlineExceeded("the pass is out of time")
        if left == float("inf"):
            return call()
        fanout: Fanout[str] = Fanout(self._clock)
        fanout.start("config", call, seconds=left)
        fanout.wait(["config"])
        error = fanout.error("config")
        if error is None:
            return cast("T", fanout.result("config"))
        late = type(error) is DeadlineExceeded and error.__traceback__ is None  # the call itself raised none
        raise Ambiguous("no answer before the end of the pass") if late and write else error


class BoundedConfig:
    """A config cluster whose every call ends with the pass."""

    def __init__(self, config: ConfigCluster, time: PassTime) -> None:
        self._config, self._time = config, time

    @property
    def calls(self) -> int:
        """How many requests went there so far."""
        return self._config.calls

    def services(self) -> list[Json]:
        return self._time.within(self._config.services)

    def fleet(self) -> Json | None:
        return self._time.within(self._config.fleet)

    def write_fleet_status(self, fleet: Manifest, status: Manifest) -> Json:
        return self._time.within(lambda: self._config.write_fleet_status(fleet, status), write=True)

    def get(self, manifest: Manifest) -> Json | None:
        return self._time.within(lambda: self._config.get(manifest))

    def list_kind(self, kind: Kind) -> list[Json]:
        return self._time.within(lambda: self._config.list_kind(kind))

    def read_lease(self, namespace: str, name: str) -> Json | None:
        return self._time.within(lambda: self._config.read_lease(namespace, name))

    def create_lease(self, lease: Manifest) -> Json:
        return self._time.within(lambda: self._config.create_lease(lease), write=True)

    def replace_lease(self, lease: Manifest) -> Json:
        return self._time.within(lambda: self._config.replace_lease(lease), write=True)

    def write_status(self, item: Manifest, status: Manifest) -> Json:
        return self._time.within(lambda: self._config.write_status(item, status), write=True)

    def set_finalizers(self, item: Manifest, finalizers: Sequence[str]) -> Json:
        return self._time.within(lambda: self._config.set_finalizers(item, finalizers), write=True)

    def batches(self) -> list[Json]:
        return self._time.within(self._config.batches)

    def create_batch(self, batch: Manifest) -> Json:
        return self._time.within(lambda: self._config.create_batch(batch), write=True)

    def emit(self, event: Manifest) -> None:
        self._time.within(lambda: self._config.emit(event), write=True)

    def apply(self, manifest: Manifest, *, resource_version: str | None = None) -> Json:
        return self._time.within(lambda: self._config.apply(manifest, resource_version=resource_version), write=True)

    def delete_owned(self, kind: Kind, namespace: str, name: str, labels: Mapping[str, str]) -> bool:
        return self._time.within(lambda: self._config.delete_owned(kind, namespace, name, labels), write=True)
