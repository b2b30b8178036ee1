"""Objects as the API shows them, what a caller may want of their generation, and what was said of them when put.

Of what a file cannot hold (its content type, its metadata) a note is kept beside the bucket; it counts for as long as
the object's generation is the one that it was written for.
Source: https://cloud.google.com/storage/docs/json_api/v1/objects#resource.
"""

import base64
import hashlib
import json
import mimetypes
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from controlplane.localcloud.clock import rfc3339_micro
from controlplane.localcloud.gcp.admin.calls import Document
from controlplane.localcloud.gcp.errors import GoogleError, invalid
from controlplane.localcloud.gcp.storage.shelf import Item, Shelf

SAID = ("contentType", "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "metadata")


class Notes:
    """What was said of objects when they were put or patched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, bucket: str, item: Item) -> Document:
        """Give what was said of an object, its `metageneration` included."""
        try:
            note: Document = json.loads(self._path(bucket, item.name).read_bytes())
        except (FileNotFoundError, ValueError):
            note = {}
        return note["said"] if note.get("generation") == item.generation else {"metageneration": 1}

    def write(self, bucket: str, item: Item, said: Mapping[str, Any], metageneration: int = 1) -> None:
        """Keep what is said of an object from now on."""
        kept = {key: said[key] for key in SAID if said.get(key)}
        path = self._path(bucket, item.name)
        if not kept and metageneration == 1:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"generation": item.generation, "said": {**kept, "metageneration": metageneration}}))
        new.replace(path)

    def forget(self, bucket: str, name: str) -> None:
        """Drop what was said of an object."""
        self._path(bucket, name).unlink(missing_ok=True)

    def _path(self, bucket: str, name: str) -> Path:
        return self._folder / bucket / f"{hashlib.sha256(name.encode()).hexdigest()}.json"


def described(bucket: str, item: Item, shelf: Shelf, note: Mapping[str, Any], root: str) -> Document:
    """Give the object resource. root: the address at which the API answers."""
    when = rfc3339_micro(datetime.fromtimestamp(item.generation / 1e6, UTC))
    link = f"{root}/storage/v1/b/{bucket}/o/{quote(item.name, safe='')}"
    guessed = mimetypes.guess_type(item.name)[0] or "application/octet-stream"
    media = f"{root}/download{link.removeprefix(root)}?generation={item.generation}&alt=media"
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{item.name}/{item.generation}",
        "selfLink": link,
        "mediaLink": media,
        "name": item.name,
        "bucket": bucket,
        "generation": str(item.generation),
        "contentType": guessed,
        "storageClass": "STANDARD",
        "size": str(item.size),
        "md5Hash": shelf.hash(item),
        "etag": _etag(item.generation, note["metageneration"]),
        "timeCreated": when,
        "updated": when,
        "timeFinalized": when,
        **note,
        "metageneration": str(note["metageneration"]),
    }


def check(query: Mapping[str, str], item: Item | None, metageneration: int = 1, *, source: bool = False) -> None:
    """Refuse with 412 what was meant for another generation; 0 stands for no object at all."""
    begin = "ifSource" if source else "if"
    generation = 0 if item is None else item.generation
    for kind, is_now in (("Generation", generation), ("Metageneration", metageneration if item else 0)):
        wanted, unwanted = _number(query, f"{begin}{kind}Match"), _number(query, f"{begin}{kind}NotMatch")
        if (wanted is not None and wanted != is_now) or (unwanted is not None and unwanted == is_now):
            text = "At least one of the pre-conditions you specified did not hold."
            raise GoogleError("FAILED_PRECONDITION", text, "conditionNotMet")


def is_asked(query: Mapping[str, str], item: Item | None, key: str = "generation") -> bool:
    """Say whether an object is there in the generation that is asked for, if one is."""
    wanted = _number(query, key)
    return item is not None and wanted in (None, item.generation)


def _number(query: Mapping[str, str], key: str) -> int | None:
    text = query.get(key)
    if text is None or text == "":
        return None
    if not text.isdigit():
        raise invalid(f"Invalid argument: {key}")
    return int(text)


def _etag(generation: int, metageneration: int) -> str:
    return base64.b64encode(f"{generation}/{metageneration}".encode()).decode()
