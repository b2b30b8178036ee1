"""The watch stream: what is there, then what happens, line by line, until the client or the time-out ends it.

An object that comes to match the selectors is ADDED for this client, one that stops matching is DELETED, as the real
watch cache does it. The stream reads the shared history at its own pace: no queue grows for a slow client; one that
falls behind the history gets the 410 that tells it to list again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.reads import Filter
from controlplane.localcloud.apiserver.records import Record
from controlplane.localcloud.apiserver.store import Event, Shelf, Store
from controlplane.localcloud.faults import Receive, Send

BOOKMARK_SECONDS = 60.0
LAST_BOOKMARK_SECONDS = 2.0
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

# Gives a record in the form the client asked for, as JSON bytes; the flag says whether it is the stream's first.
Render = Callable[[Record, bool], bytes]
# Gives the empty object that a bookmark carries.
Blank = Callable[[Object], Object]


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What a watch asks for beyond its selectors."""

    since: int | None
    initial: bool
    bookmarks: bool
    marks_end: bool
    timeout: float


class WatchStream:
    """One watch."""

    def __init__(
        self, store: Store, shelf: Shelf, wanted: Filter, options: WatchOptions, *, render: Render, blank: Blank
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._wanted = wanted
        self._options = options
        self._render = render
        self._blank = blank
        self._wake = asyncio.Event()
        self._over = False
        self._bookmark_due = False
        self._first = True

    def end(self) -> None:
        """Have the stream end soon."""
        self._over = True
        self._wake.set()

    async def run(self, receive: Receive, send: Send) -> None:
        """Serve the stream."""
        position = self._store.rv if self._options.since is None else self._options.since
        self._shelf.since(position)  # 410 before the stream begins, as an answer of its own
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache, private")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        loop = asyncio.get_running_loop()
        unsubscribe = self._shelf.subscribe(self._wake)
        leaving = loop.create_task(self._await_leave(receive))
        timers = [loop.call_later(self._options.timeout, self.end)]
        if self._options.bookmarks:
            self._arm(timers)
        try:
            lines = self._initial() if self._options.initial else []
            await send({"type": "http.response.body", "body": b"".join(lines), "more_body": True})
            await self._follow(position, send)
        finally:
            for timer in timers:
                timer.cancel()
            leaving.cancel()
            unsubscribe()
        await send({"type": "http.response.body", "body": b""})

    async def _follow(self, position: int, send: Send) -> None:
        """Tell what happens until the end; what had happened before it is told even when the end comes first."""
        over = False
        while not over:
            over = self._over
            self._wake.clear()
            try:
                events = self._shelf.since(position)
            except ApiError as error:
                await send(
                    {
                        "type": "http.response.body",
                        "body": _line("ERROR", orjson.dumps(error.status())),
                        "more_body": True,
                    }
                )
                return
            position = max(position, self._store.rv)
            lines = [line for event in events if (line := self._line(event)) is not None]
            if self._bookmark_due:
                self._bookmark_due = False
                lines.append(self._bookmark(position))
            if lines:
                await send({"type": "http.response.body", "body": b"".join(lines), "more_body": True})
            elif not over and not self._wake.is_set():
                await self._wake.wait()

    def _initial(self) -> list[bytes]:
        records = [self._shelf.records[key] for key in self._shelf.order()]
        lines = [self._shown("ADDED", record) for record in records if self._wanted.accepts(record)]
        if self._options.marks_end:
            lines.append(self._bookmark(self._store.rv, {INITIAL_EVENTS_END: "true"}))
        return lines

    def _shown(self, kind: str, record: Record) -> bytes:
        body = self._render(record, self._first)
        self._first = False
        return _line(kind, body)

    def _line(self, event: Event) -> bytes | None:
        matches = event.type != "DELETED" and self._wanted.accepts(event.record)
        matched = event.before is not None and self._wanted.accepts(event.before)
        if matches:
            return self._shown("MODIFIED" if matched else "ADDED", event.record)
        if not matched:
            return None
        if event.type == "DELETED" or event.before is None:
            return self._shown("DELETED", event.record)
        last = event.before.object  # what the client knew, at the version in which it stopped to match
        metadata = {**last["metadata"], "resourceVersion": str(event.rv)}
        return self._shown("DELETED", Record({**last, "metadata": metadata}, event.rv))

    def _bookmark(self, rv: int, annotations: dict[str, str] | None = None) -> bytes:
        metadata: Object = {"resourceVersion": str(rv), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        return _line("BOOKMARK", orjson.dumps(self._blank(metadata)))

    def _arm(self, timers: list[asyncio.TimerHandle]) -> None:
        def due() -> None:
            self._bookmark_due = True
            self._wake.set()
            timers[1] = asyncio.get_running_loop().call_later(BOOKMARK_SECONDS, due)

        # One comes shortly before the end too: a client of a quiet resource goes on from there.
        last = self._options.timeout - LAST_BOOKMARK_SECONDS
        first = min(BOOKMARK_SECONDS, last) if last > 0 else BOOKMARK_SECONDS
        timers.append(asyncio.get_running_loop().call_later(first, due))

    async def _await_leave(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end()


def _line(kind: str, body: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"
