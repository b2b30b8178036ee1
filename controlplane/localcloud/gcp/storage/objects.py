"""Cloud Storage's objects: described, listed, read, put, copied and deleted, each under its permissions and conditions.

Who may not list a bucket is not told which names are free in it, and what replaces an object needs the permission to
delete it, as on Google Cloud.
Source: https://cloud.google.com/storage/docs/json_api/v1/objects.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.gcp.admin.calls import Document
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.storage.buckets import Buckets, refused
from controlplane.localcloud.gcp.storage.described import Notes, check, described, is_asked
from controlplane.localcloud.gcp.storage.pages import objects
from controlplane.localcloud.gcp.storage.shelf import Item, Shelf

_GET, _LIST, _DELETE = "storage.objects.get", "storage.objects.list", "storage.objects.delete"
_CREATE, _UPDATE = "storage.objects.create", "storage.objects.update"
_MOST_PARTS = 32


class Objects:
    """The methods on objects. `root`s are the addresses at which the call came in; finalised: called for each put."""

    def __init__(self, buckets: Buckets, clock: Clock, finalised: Callable[[str, Item], None]) -> None:
        self._buckets = buckets
        self._clock = clock
        self._finalised = finalised
        # Calls are answered in threads, and a condition must still hold when what it allows is done.
        self._one = threading.RLock()

    def list(self, bucket: str, query: Mapping[str, str], root: str) -> Document:
        """Answer objects.list."""
        self._buckets.check(bucket, _LIST)
        shelf = self._buckets.shelf(bucket)
        return objects(shelf, query, lambda item: self.describe(bucket, item, root))

    def get(self, bucket: str, name: str, query: Mapping[str, str]) -> Item:
        """Give an object that the caller may read."""
        return self._found(bucket, name, query, _GET)[1]

    def describe(self, bucket: str, item: Item, root: str) -> Document:
        """Give the object resource."""
        shelf = self._buckets.shelf(bucket)
        return described(bucket, item, shelf, self._notes.of(bucket, item), root)

    def check_put(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """Refuse what could not be put now."""
        self._buckets.check(bucket, _CREATE)
        old = self._buckets.shelf(bucket).find(name)
        check(query, old, self._metageneration(bucket, old))
        if old is not None and not self._buckets.may(bucket, _DELETE):
            raise refused(_DELETE)

    def put(self, bucket: str, name: str, content: Path, said: Mapping[str, Any], query: Mapping[str, str]) -> Item:
        """Move a file in as an object, if it still may be."""
        with self._one:
            self.check_put(bucket, name, query)
            item = self._buckets.shelf(bucket).put(name, content, self._clock.now())
            self._notes.write(bucket, item, said)
        self._finalised(bucket, item)
        return item

    def patch(self, bucket: str, name: str, query: Mapping[str, str], said: Mapping[str, Any]) -> Item:
        """Say something else of an object; metadata that is null is dropped."""
        with self._one:
            _, item = self._found(bucket, name, query, _UPDATE)
            old = self._notes.of(bucket, item)
            metadata = {**old.get("metadata", {}), **(said.get("metadata") or {})}
            kept = {key: text for key, text in metadata.items() if text is not None}
            self._notes.write(bucket, item, {**old, **said, "metadata": kept}, old["metageneration"] + 1)
        return item

    def delete(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """Delete an object."""
        with self._one:
            shelf, item = self._found(bucket, name, query, _DELETE)
            shelf.remove(item)
            self._notes.forget(bucket, name)

    def copy(
        self, source: tuple[str, str], target: tuple[str, str], query: Mapping[str, str], said: Mapping[str, Any]
    ) -> Item:
        """Copy an object with what was said of it."""
        kept = {key: value for key, value in query.items() if key != "generation"}
        wanted = {"generation": query["sourceGeneration"]} if query.get("sourceGeneration") else {}
        _, item = self._found(*source, wanted, _GET, conditions=False)
        check(query, item, self._metageneration(source[0], item), source=True)
        return self._put_of(target, [item], {**self._notes.of(source[0], item), **said}, kept)

    def move(self, bucket: str, source: str, target: str, query: Mapping[str, str]) -> Item:
        """Give an object another name in its bucket."""
        item = self.copy((bucket, source), (bucket, target), query, {})
        self.delete(bucket, source, {})
        return item

    def compose(self, bucket: str, name: str, body: Mapping[str, Any], query: Mapping[str, str]) -> Item:
        """Put an object that is others one behind the other."""
        sources = [str(each.get("name") or "") for each in body.get("sourceObjects") or ()]
        if not 0 < len(sources) <= _MOST_PARTS:
            raise invalid(f"The number of source components provided ({len(sources)}) is not 1 to {_MOST_PARTS}.")
        items = [self._found(bucket, each, {}, _GET)[1] for each in sources]
        return self._put_of((bucket, name), items, body.get("destination") or {}, query)

    def scratch(self) -> Path:
        """Give an empty file on the buckets' file system, for what is not whole yet."""
        folder = self._buckets.folder / ".uploads"
        folder.mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(dir=folder)
        os.close(handle)
        return Path(path)

    @property
    def _notes(self) -> Notes:
        return Notes(self._buckets.folder / ".notes")

    def _put_of(
        self, target: tuple[str, str], items: Sequence[Item], said: Mapping[str, Any], query: Mapping[str, str]
    ) -> Item:
        self.check_put(*target, query)
        new = self.scratch()
        try:
            with new.open("wb") as written:
                for item in items:
                    with item.path.open("rb") as read:
                        shutil.copyfileobj(read, written)
            return self.put(*target, new, said, query)
        finally:
            new.unlink(missing_ok=True)

    def _found(
        self, bucket: str, name: str, query: Mapping[str, str], permission: str, *, conditions: bool = True
    ) -> tuple[Shelf, Item]:
        self._buckets.check(bucket, permission)
        shelf = self._buckets.shelf(bucket)
        item = shelf.find(name)
        if item is None or not is_asked(query, item):
            if not self._buckets.may(bucket, _LIST):
                raise refused(_LIST)
            raise not_found(f"No such object: {bucket}/{name}")
        if conditions:
            check(query, item, self._metageneration(bucket, item))
        return shelf, item

    def _metageneration(self, bucket: str, item: Item | None) -> int:
        return 1 if item is None else int(self._notes.of(bucket, item)["metageneration"])


def gone(name: str) -> GoogleError:
    """Answer for an upload that nobody knows: clients begin it again."""
    return not_found(f"There is no upload session {name}; begin the upload again.")
