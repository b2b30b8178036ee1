"""What is put into a bucket: in one piece, with its description in front, or in chunks that may be sent again.

Sources: https://cloud.google.com/storage/docs/performing-resumable-uploads and .../json_api/v1/objects/insert.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from controlplane.localcloud.gcp.admin.calls import Document
from controlplane.localcloud.gcp.callers import caller
from controlplane.localcloud.gcp.errors import invalid
from controlplane.localcloud.gcp.storage.objects import Objects, gone
from controlplane.localcloud.gcp.storage.shelf import Item

_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-(?P<last>\d+)|\*)/(?P<total>\d+|\*)")
_BOUNDARY = re.compile(r"""boundary=(?:"([^"]+)"|'([^']+)'|([^;\s]+))""")


@dataclass
class _Session:
    """A resumable upload. done: the object, once all of it is there."""

    bucket: str
    name: str
    said: Mapping[str, Any]
    query: Mapping[str, str]
    file: Path
    account: str
    received: int = 0
    done: Item | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a resumable upload is; item: the object, once all of it is there."""

    bucket: str
    received: int
    item: Item | None


class Uploads:
    """Takes what is put."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._sessions: dict[str, _Session] = {}

    def whole(
        self, bucket: str, query: Mapping[str, str], content: bytes, kind: str, said: Mapping[str, Any] | None = None
    ) -> Item:
        """Put an object that came in one piece. kind: the type of its content; said: what else is said of it."""
        described: Document = {**({"contentType": kind} if kind else {}), **(said or {})}
        name = query.get("name") or str(described.get("name") or "")
        if not name:
            raise invalid("Required parameter: name")
        self._objects.check_put(bucket, name, query)
        file = self._objects.scratch()
        try:
            file.write_bytes(content)
            return self._objects.put(bucket, name, file, described, query)
        finally:
            file.unlink(missing_ok=True)

    def multipart(self, bucket: str, query: Mapping[str, str], body: bytes, kind: str) -> Item:
        """Put an object that came behind its description."""
        said, inner, content = _parts(body, kind)
        return self.whole(bucket, query, content, inner, said)

    def begin(self, bucket: str, query: Mapping[str, str], said: Mapping[str, Any], kind: str) -> str:
        """Begin a resumable upload; gives its id."""
        described: Document = {**({"contentType": kind} if kind else {}), **said}
        name = query.get("name") or str(described.get("name") or "")
        if not name:
            raise invalid("Required parameter: name")
        self._objects.check_put(bucket, name, query)
        key = secrets.token_urlsafe(24)
        self._sessions[key] = _Session(bucket, name, described, query, self._objects.scratch(), caller.get())
        return key

    def go_on(self, key: str, content: bytes, span: str) -> Progress:
        """Take a chunk; span: its Content-Range, empty where all the rest comes at once. What came before is left."""
        session = self._find(key)
        match = _RANGE.fullmatch(span or f"bytes {session.received}-{session.received + len(content) - 1}/*")
        if session.done is None:
            if match is None and span:
                raise invalid(f"Invalid Content-Range: {span}")
            self._take(session, content, match, whole=not span)
        return Progress(session.bucket, session.received, session.done)

    def end(self, key: str) -> None:
        """Give up an upload."""
        self._find(key).file.unlink(missing_ok=True)
        del self._sessions[key]

    def close(self) -> None:
        """Forget what is under way; clients begin it again."""
        for session in self._sessions.values():
            session.file.unlink(missing_ok=True)
        self._sessions.clear()

    def _take(self, session: _Session, content: bytes, match: re.Match[str] | None, *, whole: bool) -> None:
        if match is not None and match["first"] is not None:
            first, last = int(match["first"]), int(match["last"])
            if first > session.received or (content and last - first + 1 != len(content)):
                raise invalid(f"Invalid request: {session.received} bytes are here, and the chunk begins at {first}.")
            new = content[session.received - first :]
            with session.file.open("ab") as opened:
                opened.write(new)
            session.received += len(new)
        total = "*" if match is None else match["total"]
        if whole or total == str(session.received):
            session.done = self._objects.put(session.bucket, session.name, session.file, session.said, session.query)

    def _find(self, key: str) -> _Session:
        session = self._sessions.get(key)
        if session is None:
            raise gone(key)
        # The address of an upload is its key: whoever has it goes on as the one who began.
        caller.set(session.account)
        return session


def _parts(body: bytes, kind: str) -> tuple[Document, str, bytes]:
    """Give description, content type and content of a multipart/related body; its lines may end either way."""
    found = _BOUNDARY.search(kind)
    if found is None:
        raise invalid("Multipart content has no boundary.")
    mark = b"--" + next(each for each in found.groups() if each).encode()
    begin = body.find(mark)
    end = b"\r\n" if body[begin + len(mark) :].startswith(b"\r\n") else b"\n"
    middle, close = body.find(end + mark, begin + len(mark)), body.rfind(end + mark + b"--")
    if begin < 0 or middle < 0 or close <= middle:
        raise invalid("Malformed multipart body.")
    _, _, text = body[begin + len(mark) : middle].partition(end * 2)
    heads, _, content = body[middle + len(end + mark) : close].partition(end * 2)
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid("Metadata part of the multipart body is no JSON.") from error
    types = [line.partition(b":")[2].strip() for line in heads.split(end) if line.lower().startswith(b"content-type:")]
    return dict(said), types[0].decode() if types else "", content
