"""Who is told when an object is put into a bucket: an HTTP handler, as Eventarc calls one, at least once per object.

What must be told is not remembered; what was told is. So an object that a person copied into the folder is told as one
that a program put, and nothing is lost when the daemon or the handler dies in between: what is in the bucket in a
generation that nobody confirmed is told again, in growing intervals.
Sources: https://cloud.google.com/eventarc/docs/cloudevents and
https://cloud.google.com/storage/docs/pubsub-notifications#delivery.
"""

import asyncio
import contextlib
import hashlib
import string
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from controlplane.localcloud.clock import Clock, rfc3339_micro
from controlplane.localcloud.gcp.admin.calls import Document
from controlplane.localcloud.gcp.errors import GoogleError
from controlplane.localcloud.gcp.storage.buckets import Buckets
from controlplane.localcloud.gcp.storage.described import Notes, described
from controlplane.localcloud.gcp.storage.shelf import Item

LOOK_SECONDS = 1.0
_LONGEST_WAIT = 60.0
_TIMEOUT_SECONDS = 30.0
FINALIZED = "google.cloud.storage.object.v1.finalized"
# Posts headers and a body to an address; gives the HTTP status. OSError where nobody answers.
Post = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]


@dataclass
class Handler:
    """Who is told of a bucket. known: generations by name that were there before or are confirmed."""

    url: str
    bucket: str
    known: dict[str, int] = field(default_factory=dict)
    delivered: int = 0
    failures: int = 0
    last_error: str = ""
    not_before: float = 0.0
    # Sizes and generations at the last look: what a person copies in is told once it has stopped growing.
    growing: dict[str, tuple[int, int]] = field(default_factory=dict)


class Notices:
    """Looks into the buckets that somebody wants to hear of, and tells them."""

    def __init__(self, buckets: Buckets, clock: Clock, changed: Callable[[], None], post: Post | None = None) -> None:
        self._buckets = buckets
        self._clock = clock
        self._changed = changed
        self._post = post or _post
        self._handlers: list[Handler] = []
        self._whole: set[tuple[str, str, int]] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, url: str, bucket: str) -> None:
        """Tell this address of a bucket from now on. Raises ValueError for what is no address or no bucket."""
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(f"{url!r} is no address of a handler here; give one such as http://127.0.0.1:8080/")
        try:
            shelf = self._buckets.shelf(bucket)
        except GoogleError as error:
            raise ValueError(f"there is no bucket {bucket}; make it, or correct the name") from error
        if all((each.url, each.bucket) != (url, bucket) for each in self._handlers):
            self._handlers.append(Handler(url, bucket, {item.name: item.generation for item in shelf.walk()}))
            self._changed()
        if self._task is None:
            self.start()

    def remove(self, url: str) -> int:
        """Tell this address of nothing any more; says of how many buckets it was told."""
        kept = [each for each in self._handlers if each.url != url]
        count = len(self._handlers) - len(kept)
        self._handlers = kept
        self._changed()
        return count

    def described(self) -> list[Document]:
        """Give who is told of which bucket, and how that went."""
        kept = ("url", "bucket", "delivered", "failures", "last_error")
        return [{key: asdict(each)[key] for key in kept} for each in self._handlers]

    def finalised(self, bucket: str, item: Item) -> None:
        """Note that an object was put as a whole: the next look tells of it."""
        if any(each.bucket == bucket for each in self._handlers):
            self._whole.add((bucket, item.name, item.generation))

    def start(self) -> None:
        """Begin to look, if there is anybody to tell."""
        if self._handlers and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Look no more; what was not told is after the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def look(self) -> None:
        """Tell everybody of what is new."""
        for handler in tuple(self._handlers):
            if self._clock.monotonic() >= handler.not_before:
                await self._tell(handler)

    def to_state(self) -> Document:
        """Give what must outlive the daemon: who is told, and of what they were."""
        kept = ("url", "bucket", "known", "delivered", "failures")
        return {"handlers": [{key: asdict(each)[key] for key in kept} for each in self._handlers]}

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._handlers = [Handler(**each) for each in state["handlers"]]

    async def _run(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def _tell(self, handler: Handler) -> None:
        for item in await asyncio.to_thread(self._new, handler):
            error = await self._send(handler, item)
            if error:
                handler.failures += 1
                handler.last_error = error
                wait = min(LOOK_SECONDS * 2 ** min(handler.failures, 6), _LONGEST_WAIT)
                handler.not_before = self._clock.monotonic() + wait
                return
            handler.known[item.name] = item.generation
            self._whole.discard((handler.bucket, item.name, item.generation))
            handler.delivered, handler.failures, handler.last_error = handler.delivered + 1, 0, ""
            self._changed()

    def _new(self, handler: Handler) -> list[Item]:
        """Give the objects that are not confirmed and have stopped growing; forget those that are gone."""
        try:
            items = list(self._buckets.shelf(handler.bucket).walk())
        except GoogleError:
            return []
        before, handler.growing = handler.growing, {i.name: (i.size, i.generation) for i in items}
        handler.known = {i.name: handler.known[i.name] for i in items if i.name in handler.known}
        new = [item for item in items if handler.known.get(item.name) != item.generation]
        return [
            item
            for item in new
            if before.get(item.name) == (item.size, item.generation)
            or (handler.bucket, item.name, item.generation) in self._whole
        ]

    async def _send(self, handler: Handler, item: Item) -> str:
        """Tell of one object; gives what went wrong."""
        try:
            shelf = self._buckets.shelf(handler.bucket)
            note = Notes(self._buckets.folder / ".notes").of(handler.bucket, item)
            root = "https://www.googleapis.com"
            body = orjson.dumps(described(handler.bucket, item, shelf, note, root))
        except (FileNotFoundError, GoogleError):
            return ""
        source = f"//storage.googleapis.com/projects/_/buckets/{handler.bucket}"
        headers = {
            "content-type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": hashlib.sha256(f"{handler.bucket}/{item.name}/{item.generation}".encode()).hexdigest()[:16],
            "ce-source": source,
            "ce-type": FINALIZED,
            "ce-subject": quote(f"objects/{item.name}", safe=string.punctuation),
            "ce-time": rfc3339_micro(self._clock.now()),
            "ce-bucket": handler.bucket,
        }
        try:
            status = await self._post(handler.url, headers, body)
        except OSError as error:
            return f"{handler.url}: {error}"
        return "" if status // 100 == 2 else f"{handler.url}: answered {status}"


async def _post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    return await asyncio.to_thread(_post_now, url, headers, body)


def _post_now(url: str, headers: Mapping[str, str], body: bytes) -> int:
    # Loopback only, and so by no proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 - http and loopback, checked
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
