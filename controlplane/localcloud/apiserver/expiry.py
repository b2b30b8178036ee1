"""Events do not stay: like etcd's lease on them, this takes away what is older than an hour.

There is no timer: who adds Events pays for taking old ones away, a few at a time, so an idle cluster stays idle.
"""

from datetime import timedelta

from controlplane.localcloud.apiserver.records import Record
from controlplane.localcloud.apiserver.schema import TypeInfo
from controlplane.localcloud.apiserver.store import Store
from controlplane.localcloud.clock import Clock, rfc3339

EVENT_LIFE = timedelta(hours=1)
_EVERY = 100


class EventExpiry:
    """Looks after every hundredth new Event."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._count = 0

    def observe(self, info: TypeInfo, old: Record | None, new: Record | None) -> None:
        """Count new Events; now and then, remove those that were last written more than an hour ago."""
        if info.kind != "Event" or old is not None or new is None:
            return
        self._count += 1
        if self._count % _EVERY:
            return
        horizon = rfc3339(self._clock.now() - EVENT_LIFE)
        for key, record in list(self._store.shelf("events").records.items()):
            if _last_seen(record) < horizon:
                self._store.remove("events", key)


def _last_seen(record: Record) -> str:
    event = record.object
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"]["creationTimestamp"])
    return str(max(time for time in times if time))
