"""Puts the shards of a batch together: one manifest and one contact sheet, written by whoever ends the last shard.

Two who end at the same time both see every record and write the same, so it does not matter who is the last.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webui_image.batch.manifest import NAME as MANIFEST
from webui_image.batch.manifest import Manifest
from webui_image.batch.parameters import Batch
from webui_image.batch.places import Place
from webui_image.batch.shards import Shard, shards_of
from webui_image.batch.sheet import NAME as SHEET
from webui_image.batch.sheet import chosen, write_sheet
from webui_image.batch.written import Facts
from webui_image.clock import Clock

_TOLD = ("region", "gpu", "capacity")


def collect(batch: Batch, size: int, place: Place, clock: Clock, *, whole: bool = True) -> bool:
    """Write the manifest and the contact sheet if every shard has its record; say whether that was so.

    whole: False writes them of what there is. Raises PlaceError, NotReady.
    """
    shards = [Shard(number, size) for number in range(shards_of(batch, size))]
    names = place.names("shards")
    if whole and any(shard.record.rpartition("/")[2] not in names for shard in shards):
        return False
    records = [record for shard in shards if (record := _record(batch, shard, place)) is not None]
    if whole and len(records) < len(shards):
        return False
    with tempfile.TemporaryDirectory(prefix="batch-") as folder:
        content = _manifest(batch, records, Path(folder), clock)
        if _sheet(batch, content, place, Path(folder)):
            place.publish(SHEET, (Path(folder) / SHEET).read_bytes())
    place.publish(MANIFEST, json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8", "replace"))
    return True


def _record(batch: Batch, shard: Shard, place: Place) -> Mapping[str, Any] | None:
    """Read a shard's record; None for one that is missing, broken, or of another version of the file."""
    try:
        found = json.loads(place.read(shard.record) or b"")
    except ValueError:
        return None
    ours = isinstance(found, dict) and (found.get("parameters"), found.get("size")) == (batch.sha256, shard.size)
    return found if ours else None


def _manifest(batch: Batch, records: list[Mapping[str, Any]], folder: Path, clock: Clock) -> dict[str, Any]:
    model = next((str(record["model"]) for record in records), "")
    manifest = Manifest(
        folder, batch, clock, model, device=next((str(r["device"]) for r in records if r["device"]), "")
    )
    where: dict[int, dict[str, str]] = {}
    for record in records:
        told = {key: str(record[key]) for key in _TOLD if record.get(key)}
        for index, facts in record["done"].items():
            manifest.done[int(index)] = Facts(
                str(facts["sha256"]), float(facts["seconds"]), str(facts["model"]), str(facts["model_hash"])
            )
            where[int(index)] = told
        manifest.failed |= {int(index): str(reason) for index, reason in record["failed"].items()}
    state = "failed" if manifest.failed else "complete"
    content = manifest.as_dict("incomplete" if manifest.missing else state)
    content["pictures"] = [entry | where.get(entry["index"], {}) for entry in content["pictures"]]
    return content


def _sheet(batch: Batch, content: Mapping[str, Any], place: Place, folder: Path) -> bool:
    done = {entry["index"] for entry in content["pictures"] if entry["status"] == "done"}
    finished = [picture for picture in batch.pictures if picture.index in done]
    for picture in chosen(finished):
        (folder / picture.file_name).write_bytes(place.read(picture.file_name) or b"")
    write_sheet(folder, batch.name, finished)
    return (folder / SHEET).exists()
