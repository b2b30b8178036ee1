"""One version of one object as the store keeps it: a dict for those who look into it, bytes for those who send it.

Most reads only send, so the bytes are made once. Old versions stay in the watch history as compressed bytes alone:
a Pod as nested dicts takes ten times the memory.
"""

import zlib
from typing import Any, cast

import orjson

from controlplane.localcloud.apiserver.api import Object


class Record:
    """An immutable object version."""

    __slots__ = ("_bytes", "_object", "_packed", "rv")

    def __init__(self, obj: Object, rv: int) -> None:
        self.rv = rv
        self._object: Object | None = obj
        self._bytes: bytes | None = None
        self._packed: bytes | None = None

    @property
    def object(self) -> Object:
        """Give the object; never change it."""
        if self._object is None:
            return cast("Object", orjson.loads(self.bytes))
        return self._object

    @property
    def bytes(self) -> bytes:
        """Give its JSON, which begins with apiVersion and kind."""
        if self._bytes is None:
            if self._packed is not None:
                return zlib.decompress(self._packed)
            self._bytes = orjson.dumps(self._object)
        return self._bytes

    def pack(self) -> None:
        """Keep it small from now on, because it is history."""
        if self._packed is None:
            self._packed = zlib.compress(self.bytes, 1)
            self._bytes = self._object = None


def ordered(obj: Object) -> Object:
    """Give the object with apiVersion and kind first, so that both can be cut off or exchanged in the bytes."""
    return {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "metadata": obj.get("metadata"),
        **{key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")},
    }


def key_of(obj: Object) -> tuple[str, str]:
    """Give the namespace ("" for cluster-wide objects) and the name."""
    metadata: dict[str, Any] = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]
