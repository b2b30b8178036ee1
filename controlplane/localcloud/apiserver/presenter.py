"""How records leave: as they are, as a Table, or as metadata alone; as JSON or YAML.

The plain form is the hot path: a list is the stored bytes of its items joined. Items of built-in lists carry no
apiVersion and kind, as with kube-apiserver, so these are cut off from the front of the bytes.
"""

from typing import Any

import orjson
import yaml

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.errors import not_acceptable
from controlplane.localcloud.apiserver.reads import Page
from controlplane.localcloud.apiserver.records import Record
from controlplane.localcloud.apiserver.registry import is_stored_form, to_served
from controlplane.localcloud.apiserver.responses import JSON, Wanted, accepted, partial
from controlplane.localcloud.apiserver.schema import TypeInfo
from controlplane.localcloud.apiserver.tables import table

_SHAPES = ("", "Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_INCLUDE = {"None": "None", "Object": "Object"}


class Presenter:
    """One type's objects in the form one client asked for."""

    def __init__(self, core: Core, info: TypeInfo, accept: str, include: str) -> None:
        self._core = core
        self._info = info
        self._include: Any = _INCLUDE.get(include, "Metadata")
        self._plain = is_stored_form(info)
        self._wanted = _choose(accept)
        self.content_type = b"application/yaml" if self._wanted.media == "yaml" else JSON

    def one(self, record: Record) -> bytes:
        """Give one object."""
        if self._wanted.media == "json" and not self._wanted.shape:
            return record.bytes if self._plain else orjson.dumps(self._object(record))
        return self._dump(self._shaped(record, headings=True))

    def many(self, page: Page) -> bytes:
        """Give a list."""
        metadata: Object = {"resourceVersion": str(page.rv)}
        if page.continue_token:
            metadata["continue"] = page.continue_token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
        wanted = self._wanted
        if wanted.shape == "Table":
            objects = [self._object(record) for record in page.records]
            return self._dump(self._table(objects, metadata))
        if wanted.shape:
            items = [partial(self._object(record)) for record in page.records]
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            return self._dump({**head, "items": items})
        info = self._info
        head = {"kind": info.list_kind or f"{info.kind}List", "apiVersion": info.api_version, "metadata": metadata}
        if wanted.media == "json":
            front = orjson.dumps(head)[:-1] + b',"items":['
            return front + b",".join(self._item(record) for record in page.records) + b"]}"
        return self._dump({**head, "items": [orjson.loads(self._item(record)) for record in page.records]})

    def deleted(self, record: Record) -> bytes:
        """Give the Status that says what is gone."""
        info, metadata = self._info, record.object["metadata"]
        details = {"name": metadata["name"], "group": info.group, "kind": info.plural, "uid": metadata["uid"]}
        if not info.group:
            del details["group"]
        return self._dump(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    def event(self, record: Record, first: bool) -> bytes:
        """Give one object of a watch; only the first Table of a stream has headings."""
        if not self._wanted.shape:
            return record.bytes if self._plain else orjson.dumps(self._object(record))
        return orjson.dumps(self._shaped(record, headings=first))

    def blank(self, metadata: Object) -> Object:
        """Give what a bookmark carries."""
        if self._wanted.shape == "Table":
            return {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "columnDefinitions": [],
                "rows": [],
            }
        if self._wanted.shape:
            return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
        return {"kind": self._info.kind, "apiVersion": self._info.api_version, "metadata": metadata}

    def _object(self, record: Record) -> Object:
        return record.object if self._plain else to_served(self._info, record.object)

    def _item(self, record: Record) -> bytes:
        if self._info.custom:
            return record.bytes if self._plain else orjson.dumps(self._object(record))
        if not self._plain:
            obj = self._object(record)
            return orjson.dumps({key: obj[key] for key in obj if key not in ("apiVersion", "kind")})
        data = record.bytes
        return b"{" + data[data.index(b'"metadata"') :]

    def _shaped(self, record: Record, *, headings: bool) -> Object:
        obj = self._object(record)
        if self._wanted.shape == "Table":
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return self._table([obj], metadata, headings=headings)
        return partial(obj) if self._wanted.shape else obj

    def _table(self, objects: list[Object], metadata: Object, *, headings: bool = True) -> Object:
        now = self._core.clock.now()
        result: Object = table(
            self._info, objects, now, include=self._include, headings=headings, list_metadata=metadata
        )
        if self._wanted.version == "v1beta1":
            result["apiVersion"] = "meta.k8s.io/v1beta1"
        return result

    def _dump(self, obj: Object) -> bytes:
        if self._wanted.media == "yaml":
            plain = orjson.loads(orjson.dumps(obj))
            return yaml.dump(plain, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False).encode()
        return orjson.dumps(obj)


def _choose(accept: str) -> Wanted:
    for wanted in accepted(accept):
        if wanted.shape in _SHAPES and (not wanted.shape or wanted.group == "meta.k8s.io"):
            return wanted
    raise not_acceptable("application/json", "application/yaml")
