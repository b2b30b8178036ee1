"""The state of one cluster: every object's present version, one global resourceVersion, and what happened lately.

Memory owned by one event loop is the truth that everyone reads; the journal makes it survive a kill. Each resource has
its own history, so that the many heartbeats do not push out the few events that a watch of Pods needs.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from controlplane.localcloud.apiserver.api import EventType, Object
from controlplane.localcloud.apiserver.errors import expired, too_large_to_store
from controlplane.localcloud.apiserver.journal import Journal
from controlplane.localcloud.apiserver.records import Record, key_of, ordered

HISTORY = 5_000
UNPACKED = 100
HISTORY_BYTES = 32 * 1024 * 1024  # JSON; a history of large objects is shorter, so that nobody can fill the memory
LARGEST = 3 * 1024 * 1024 // 2  # bytes of one object: what etcd takes in one request

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one object; `before` is the version that it replaced."""

    rv: int
    type: EventType
    record: Record
    before: Record | None


class Shelf:
    """All objects of one resource, and their history."""

    def __init__(self, resource: str, since: int) -> None:
        self.resource = resource
        self.records: dict[Key, Record] = {}
        self.events: deque[Event] = deque()
        self._sizes: deque[int] = deque()
        self._size = 0
        self.oldest = since  # changes up to this resourceVersion are forgotten
        self._order: list[Key] | None = None
        self._waiters: set[asyncio.Event] = set()

    def order(self) -> list[Key]:
        """Give all keys in the order of a list."""
        if self._order is None:
            self._order = sorted(self.records)
        return self._order

    def note(self, event: Event, key: Key) -> None:
        """Make a change visible and tell those who wait."""
        if event.type == "DELETED":
            del self.records[key]
            self._order = None
        else:
            if key not in self.records:
                self._order = None
            self.records[key] = event.record
        self.events.append(event)
        if len(self.events) > UNPACKED:
            self._pack(self.events[-UNPACKED - 1])
        self._sizes.append(len(event.record.bytes))
        self._size += self._sizes[-1]
        while len(self.events) > HISTORY or (self._size > HISTORY_BYTES and len(self.events) > 1):
            self.oldest = self.events.popleft().rv
            self._size -= self._sizes.popleft()
        for waiter in self._waiters:
            waiter.set()

    @staticmethod
    def _pack(event: Event) -> None:
        if event.before is not None:
            event.before.pack()
        if event.type == "DELETED":
            event.record.pack()

    def subscribe(self, waiter: asyncio.Event) -> Callable[[], None]:
        """Have the event set after every change, until the function that comes back is called."""
        self._waiters.add(waiter)
        return lambda: self._waiters.discard(waiter)

    def since(self, rv: int) -> list[Event]:
        """Give all changes after this resourceVersion; 410 where they are forgotten."""
        if rv < self.oldest:
            raise expired(f"too old resource version: {rv} ({self.oldest})")
        found: list[Event] = []
        for event in reversed(self.events):
            if event.rv <= rv:
                break
            found.append(event)
        found.reverse()
        return found

    def at(self, rv: int) -> dict[Key, Record]:
        """Give the objects as they were at this resourceVersion, by taking later changes back."""
        later = self.since(rv)
        if not later:
            return self.records
        state = dict(self.records)
        for event in reversed(later):
            key = key_of(event.record.object)
            if event.before is None:
                state.pop(key, None)
            else:
                state[key] = event.before
        return state


class Store:
    """All shelves, and the counter they share."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._shelves: dict[str, Shelf] = {}
        self.rv, rows = journal.load()
        self._since = self.rv
        for resource, record in rows:
            self.shelf(resource).records[key_of(record.object)] = record

    def shelf(self, resource: str) -> Shelf:
        """Give the shelf of a resource (`plural.group`)."""
        shelf = self._shelves.get(resource)
        if shelf is None:
            shelf = self._shelves[resource] = Shelf(resource, self._since)
        return shelf

    def find(self, resource: str, key: Key) -> Record | None:
        """Give the present version of an object."""
        return self.shelf(resource).records.get(key)

    def put(self, resource: str, obj: Object) -> Record:
        """Store a new version; the resourceVersion is written into the metadata."""
        key = key_of(obj)
        self.rv += 1
        obj = ordered(obj)
        obj["metadata"]["resourceVersion"] = str(self.rv)
        record = Record(obj, self.rv)
        if len(record.bytes) > LARGEST:
            self.rv -= 1
            raise too_large_to_store()
        shelf = self.shelf(resource)
        before = shelf.records.get(key)
        self._journal.put(resource, key, record)
        shelf.note(Event(self.rv, "ADDED" if before is None else "MODIFIED", record, before), key)
        return record

    def remove(self, resource: str, key: Key) -> Record:
        """Delete an object; the record that comes back has the resourceVersion of the deletion."""
        shelf = self.shelf(resource)
        before = shelf.records[key]
        self.rv += 1
        obj = dict(before.object)
        obj["metadata"] = {**obj["metadata"], "resourceVersion": str(self.rv)}
        record = Record(obj, self.rv)
        self._journal.remove(resource, key, self.rv)
        shelf.note(Event(self.rv, "DELETED", record, before), key)
        return record

    def objects(self, resource: str, namespace: str | None = None) -> Iterator[Record]:
        """Give all objects, or those of one namespace, in order."""
        shelf = self.shelf(resource)
        for key in shelf.order():
            if namespace is None or key[0] == namespace:
                yield shelf.records[key]
