"""The JSON API over HTTP: which method a path is, bodies that are no JSON, and parts of objects.

Object names come in the path with their slashes as %2F, so paths are taken apart before they are decoded.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from controlplane.localcloud.gcp.admin.calls import Call, Document, Router
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.rpc import json_response, read_json
from controlplane.localcloud.gcp.storage.buckets import Buckets
from controlplane.localcloud.gcp.storage.objects import Objects
from controlplane.localcloud.gcp.storage.shelf import Item
from controlplane.localcloud.gcp.storage.uploads import Uploads

PATHS = ("/storage/v1/{path:path}", "/upload/storage/v1/{path:path}", "/download/storage/v1/{path:path}")
_B, _O = r"/storage/v1/b/(?P<bucket>[^/]+)", r"/o/(?P<object>.+?)"
_BLOCK = 1024 * 1024
_HEADERS = ("contentType", "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage")
_SPAN = re.compile(r"bytes=(\d*)-(\d*)")
_Method: TypeAlias = Callable[[dict[str, str], Request, Document], Response]


class StorageApi:
    """Answers calls. `finalised` is called with the bucket of each object that is put."""

    def __init__(self, buckets: Buckets, objects: Objects) -> None:
        self._objects = objects
        self._uploads = Uploads(objects)
        self._buckets = Router(buckets.routes())
        table: list[tuple[str, str, _Method]] = [
            ("GET", f"{_B}/o", self._list),
            ("POST", f"{_B}{_O}/(?:rewriteTo|copyTo)/b/(?P<to>[^/]+)/o/(?P<as>.+)", self._copy),
            ("POST", f"{_B}{_O}/moveTo/o/(?P<as>.+)", self._move),
            ("POST", f"{_B}{_O}/compose", self._compose),
            ("GET", f"(?:/download)?{_B}{_O}", self._get),
            ("PATCH", f"{_B}{_O}", self._patch),
            ("DELETE", f"{_B}{_O}", self._delete),
        ]
        self._table = [(verb, re.compile(pattern), method) for verb, pattern, method in table]

    async def rest(self, request: Request) -> Response:
        """Answer a call."""
        path = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        body = await request.body()
        return await asyncio.to_thread(self._answer, request, path, body)

    def close(self) -> None:
        """Forget what is under way."""
        self._uploads.close()

    def _answer(self, request: Request, path: str, body: bytes) -> Response:
        if match := re.fullmatch(f"/upload{_B}/o", path):
            return self._upload(unquote(match["bucket"]), request, body)
        document = read_json(body)
        if document is not None and not isinstance(document, dict):
            raise invalid("Invalid JSON payload received. Root element must be a message.")
        for verb, pattern, method in self._table:
            if verb == request.method and (match := pattern.fullmatch(path)):
                fields = {key: unquote(text) for key, text in match.groupdict().items()}
                return method(fields, request, document or {})
        found = self._buckets.find(request.method, unquote(path))
        if found is None:
            raise not_found("The requested URL was not found on this server.")
        route, names = found
        call = Call(request.method, path, names, dict(request.query_params), document or {})
        return json_response(route.answer(call))

    # -- objects ---------------------------------------------------------------------------------------------------

    def _list(self, fields: dict[str, str], request: Request, _: Document) -> Response:
        return json_response(self._objects.list(fields["bucket"], request.query_params, _root(request)))

    def _get(self, fields: dict[str, str], request: Request, _: Document) -> Response:
        try:
            item = self._objects.get(fields["bucket"], fields["object"], request.query_params)
        except GoogleError as error:
            asked = request.query_params
            unchanged = error.http_code == 412 and any(key.endswith("NotMatch") for key in asked)
            if not unchanged:
                raise
            return Response(status_code=304)
        is_media = request.query_params.get("alt") == "media" or request.url.path.startswith("/download/")
        document = self._objects.describe(fields["bucket"], item, _root(request))
        return _media(item, document, request.headers.get("range", "")) if is_media else json_response(document)

    def _patch(self, fields: dict[str, str], request: Request, said: Document) -> Response:
        item = self._objects.patch(fields["bucket"], fields["object"], request.query_params, said)
        return self._told(fields["bucket"], item, request)

    def _delete(self, fields: dict[str, str], request: Request, _: Document) -> Response:
        self._objects.delete(fields["bucket"], fields["object"], request.query_params)
        return Response(status_code=204)

    def _copy(self, fields: dict[str, str], request: Request, said: Document) -> Response:
        source, target = (fields["bucket"], fields["object"]), (fields["to"], fields["as"])
        item = self._objects.copy(source, target, request.query_params, said)
        if "/copyTo/" in request.url.path:
            return self._told(fields["to"], item, request)
        size = str(item.size)
        done = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
        return json_response({**done, "resource": self._objects.describe(fields["to"], item, _root(request))})

    def _move(self, fields: dict[str, str], request: Request, _: Document) -> Response:
        item = self._objects.move(fields["bucket"], fields["object"], fields["as"], request.query_params)
        return self._told(fields["bucket"], item, request)

    def _compose(self, fields: dict[str, str], request: Request, body: Document) -> Response:
        item = self._objects.compose(fields["bucket"], fields["object"], body, request.query_params)
        return self._told(fields["bucket"], item, request)

    def _told(self, bucket: str, item: Item, request: Request) -> Response:
        return json_response(self._objects.describe(bucket, item, _root(request)))

    # -- uploads ---------------------------------------------------------------------------------------------------

    def _upload(self, bucket: str, request: Request, body: bytes) -> Response:
        query, kind = request.query_params, request.headers.get("content-type", "")
        if key := query.get("upload_id"):
            return self._chunk(key, request, body)
        if request.method != "POST":
            raise invalid("Uploads begin with POST.")
        how = query.get("uploadType", "media")
        if how == "resumable":
            said = read_json(body)
            media = request.headers.get("x-upload-content-type", "")
            key = self._uploads.begin(bucket, query, said if isinstance(said, dict) else {}, media)
            where = f"{_root(request)}/upload/storage/v1/b/{quote(bucket)}/o?uploadType=resumable&upload_id={key}"
            return Response(status_code=200, headers={"location": where, "x-guploader-uploadid": key})
        if how == "multipart":
            return self._told(bucket, self._uploads.multipart(bucket, query, body, kind), request)
        if how == "media":
            return self._told(bucket, self._uploads.whole(bucket, query, body, kind), request)
        raise invalid(f"Invalid value for uploadType: {how}")

    def _chunk(self, key: str, request: Request, body: bytes) -> Response:
        if request.method == "DELETE":
            self._uploads.end(key)
            return Response(status_code=499)
        state = self._uploads.go_on(key, body, request.headers.get("content-range", ""))
        if state.item is not None:
            return self._told(state.bucket, state.item, request)
        headers = {"range": f"bytes=0-{state.received - 1}"} if state.received else {}
        return Response(status_code=308, headers=headers)


def _root(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _media(item: Item, document: Document, span: str) -> Response:
    """Give the content, or the part of it that was asked for."""
    headers = {
        "x-goog-generation": document["generation"],
        "x-goog-metageneration": document["metageneration"],
        "x-goog-stored-content-length": document["size"],
        "x-goog-hash": f"md5={document['md5Hash']}",
        "etag": document["etag"],
        "accept-ranges": "bytes",
        **{re.sub("[A-Z]", lambda m: f"-{m[0].lower()}", key): document[key] for key in _HEADERS if key in document},
    }
    first, last, status = 0, item.size - 1, 200
    if match := _SPAN.fullmatch(span):
        if match[1]:
            first, last = int(match[1]), min(int(match[2] or last), last)
        elif match[2]:
            first = max(0, item.size - int(match[2]))
        if first > last:
            text = {"content-range": f"bytes */{item.size}"}
            return Response("The requested range cannot be satisfied.", 416, headers=text)
        status = 206
        headers["content-range"] = f"bytes {first}-{last}/{item.size}"
    headers["content-length"] = str(last - first + 1)
    return StreamingResponse(_blocks(item.path, first, last - first + 1), status, headers)


def _blocks(path: Path, first: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as opened:
        opened.seek(first)
        while length > 0 and (block := opened.read(min(_BLOCK, length))):
            length -= len(block)
            yield block
