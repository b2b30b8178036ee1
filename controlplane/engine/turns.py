"""Which batches wait for which: two that render into the same folder take turns."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from controlplane.engine.ports import Json
from controlplane.model import naming
from controlplane.model.batch import BatchPhase


def behind(batches: Iterable[Json]) -> dict[str, str]:
    """Give the batches that must wait, each with the earlier one that renders into the same folder and is not over.

    Two at once would write over each other's pictures and records for ever. The folder is named in an annotation; a
    GPUBatch without one is taken to render into the folder that its file's name gives.
    """
    first: dict[tuple[str, str], str] = {}
    waiting: dict[str, str] = {}
    for batch in sorted(batches, key=_age):
        spec, status, metadata = batch.get("spec") or {}, batch.get("status") or {}, batch["metadata"]
        parameters, key = str(spec.get("parameters", "")), f"{metadata.get('namespace')}/{metadata.get('name')}"
        if parameters.endswith("/") or status.get("phase") in (BatchPhase.SUCCEEDED, BatchPhase.FAILED):
            continue
        stem = PurePosixPath(parameters).stem
        name = str((metadata.get("annotations") or {}).get(naming.ANNOTATION_RESULTS) or stem)
        earlier = first.setdefault((str(spec.get("output", "")).rstrip("/"), name), key)
        if earlier != key:
            waiting[key] = earlier
    return waiting


def _age(batch: Json) -> tuple[str, str, str]:
    metadata = batch["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata.get("namespace")), str(metadata.get("name"))
