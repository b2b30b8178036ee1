"""One writer at a time: a Lease in the config cluster, and the fence number that its transitions give.

A lease alone is not safe. A run that was paused may wake up after its lease passed on, so every write first looks at
the clock (with a margin, on the monotonic clock, which no time server moves), and a write that takes away asks the API
server again. Renewal carries the resourceVersion: whoever lost the lease learns it there, and stops. Clocks of two
runs may disagree; that can pass the lease on early, never let two runs through the fence.
"""

import threading
from datetime import timedelta

from controlplane.clock import Clock
from controlplane.engine.limits import LeaseName
from controlplane.engine.ports import Json, LeaseStore
from controlplane.gateways.errors import Conflict, GatewayError, Gone, Invalid, ServerFault
from controlplane.gateways.instants import micro_time, parse_instant

HIGHEST_FENCE = 2**30
"""No count of runs gets there: a higher one was not counted, and the Lease's own field (int32) would soon be full."""


RELEASE_PATIENCE = 0.5
"""Seconds that giving the lease back waits for a renewal under way."""


class FenceLost(Exception):  # noqa: N818 - it names what happened
    """The lease is not ours any more, or that cannot be shown. Nothing may be written."""


class Lease:
    """The run's hold on the config cluster's Lease."""

    def __init__(self, store: LeaseStore, clock: Clock, name: LeaseName, holder: str) -> None:
        self._store, self._clock, self._name, self._holder = store, clock, name, holder
        self._object: Json | None = None
        self._until = float("-inf")
        self._seen: tuple[str, float] | None = None
        self._lock = threading.RLock()  # clusters are worked on at once, and each write checks
        self.held_by = ""

    @property
    def fence(self) -> int:
        """The fence number; 0 when the lease is not held."""
        return int(self._object["spec"]["leaseTransitions"]) if self._object else 0

    def acquire(self) -> bool:
        """Take or keep the lease. False: another live run holds it, named by `held_by`."""
        began = self._clock.monotonic()
        if self._kept(began):
            return True
        found = self._store.read_lease(self._name.namespace, self._name.name)
        try:
            if found is None:
                self._object = self._store.create_lease(self._fresh(None, 1))
            else:
                spec = found.get("spec") or {}
                holder = str(spec.get("holderIdentity") or "")
                if holder and holder != self._holder and not self._expired(found, began):
                    self.held_by = holder
                    return False
                count = int(spec.get("leaseTransitions") or 0) + (0 if holder == self._holder else 1)
                count = count if count <= HIGHEST_FENCE else 1
                self._object = self._store.replace_lease(self._fresh(found, max(count, 1)))
        except Conflict:
            self.held_by = "a run that was faster"
            return False
        self._until = began + self._name.seconds - self._name.margin
        return True

    def _kept(self, began: float) -> bool:
        """Keep what is held, in one call: if anybody wrote since, the resourceVersion tells, and it is read again."""
        if self._object is None:
            return False
        try:
            self._object = self._store.replace_lease(self._fresh(self._object, self.fence))
        except (Conflict, Gone, Invalid, ServerFault):
            self._object = None
            return False
        self._until = began + self._name.seconds - self._name.margin
        return True

    def raise_above(self, fence: int) -> None:
        """Lift the fence over one that was seen in a status: the Lease was deleted, so its count began anew."""
        if self._object is not None and self.fence < fence:
            self._renew(fence + 1)

    def check(self, *, destructive: bool = False) -> None:
        """Make sure that writing is allowed. Raises FenceLost."""
        with self._lock:
            if self._object is None:
                raise FenceLost("the lease is not held")
            left = self._until - self._clock.monotonic()
            if left < (self._name.seconds - self._name.margin) / 2:
                self._renew(self.fence)
            elif destructive:
                self._confirm()

    def release(self) -> None:
        """Give the lease back, so that the next run need not wait. Losing it here does not matter any more.

        A thread that was given up may hang in a renewal, whose outcome nobody knows: the lease then ends by itself.
        """
        if not self._lock.acquire(timeout=RELEASE_PATIENCE):
            return
        try:
            held, self._object = self._object, None
            self._until = float("-inf")
        finally:
            self._lock.release()
        if held is None:
            return
        given = {**held["spec"], "holderIdentity": "", "renewTime": micro_time(self._clock.now())}
        try:
            self._store.replace_lease({**held, "spec": given})
        except GatewayError:
            return

    def _renew(self, fence: int) -> None:
        began = self._clock.monotonic()
        if began >= self._until + self._name.margin:
            self._lose("the lease ran out")
        try:
            self._object = self._store.replace_lease(self._fresh(self._object, fence))
        except GatewayError as error:
            self._lose(f"the lease could not be renewed: {error.message}", error)
        self._until = began + self._name.seconds - self._name.margin

    def _confirm(self) -> None:
        try:
            found = self._store.read_lease(self._name.namespace, self._name.name)
        except GatewayError as error:
            raise FenceLost(f"the lease could not be read again: {error.message}") from error
        spec = (found or {}).get("spec") or {}
        if spec.get("holderIdentity") != self._holder or int(spec.get("leaseTransitions") or 0) != self.fence:
            self._lose("another run took the lease")

    def _lose(self, why: str, cause: Exception | None = None) -> None:
        self._object, self._until = None, float("-inf")
        raise FenceLost(why) from cause

    def _expired(self, found: Json, at: float) -> bool:
        """Say whether the holder let its time pass, by its own clock's word or by what this process saw.

        A holder whose clock ran ahead and that died would else keep everybody out for as long as it ran ahead.
        """
        spec, version = found.get("spec") or {}, str(found["metadata"].get("resourceVersion", ""))
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, at)
        renewed = parse_instant(spec.get("renewTime"))
        seconds = int(spec.get("leaseDurationSeconds") or self._name.seconds)
        unchanged = at - self._seen[1] > seconds
        return renewed is None or unchanged or self._clock.now() > renewed + timedelta(seconds=seconds)

    def _fresh(self, found: Json | None, fence: int) -> Json:
        now = micro_time(self._clock.now())
        before = (found or {}).get("spec") or {}
        kept = before.get("holderIdentity") == self._holder and before.get("leaseTransitions") == fence
        metadata = {"name": self._name.name, "namespace": self._name.namespace}
        if found is not None:
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._holder,
                "leaseDurationSeconds": self._name.seconds,
                "acquireTime": before.get("acquireTime") if kept and before.get("acquireTime") else now,
                "renewTime": now,
                "leaseTransitions": fence,
            },
        }
