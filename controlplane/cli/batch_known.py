"""Batches that are there already, as a person names them: found by what is remembered, never taken for another one.

A batch is named after what its file holds, so the same file finds the same batch whatever is asked for beside it; what
would then not be done is said, never passed over.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from controlplane.cli.output import note

if TYPE_CHECKING:
    from controlplane.wiring import App

_KEPT = ("shardSize", "parallelism", "maxCost", "deadline", "capacityTypes")


def named(working: "App", namespace: str, name: str) -> dict[str, Any]:
    """Give the GPUBatch of a name, which may be as `batch list` prints it. Raises SpecError."""
    from controlplane.api import Problem, SpecError
    from controlplane.api.problems import did_you_mean

    there, _, bare = name.rpartition("/")
    namespace = there or namespace
    known = {each["metadata"]["name"]: each for each in working.batches(namespace)}
    if bare not in known:
        # A parameters file's own name is what people remember; the digest behind it is not.
        begun = [each for each in known if each.startswith(f"{bare}-")]
        remedy = did_you_mean(begun[0] if begun else bare, known, "see `batch list` for those there are")
        raise SpecError([Problem(f"{namespace}/{bare}", "there is no such GPUBatch", remedy)])
    return known[bare]


def not_otherwise(working: "App", namespace: str, name: str, spec: Mapping[str, Any]) -> None:
    """Refuse a batch that is there already and goes elsewhere or away: it would not do what is asked for now.

    Other settings of it stay as they are, which is told. Raises SpecError.
    """
    from controlplane.api import Problem, SpecError

    place = f"{namespace}/{name}"
    for batch in working.batches(namespace, name):
        was = batch.get("spec") or {}
        if batch["metadata"].get("deletionTimestamp"):
            raise SpecError([Problem(place, "is being taken down", "make a pass with `reconcile`, then submit again")])
        if was.get("output") != spec["output"]:
            what = f"this file is a batch already, which renders into {was.get('output')}"
            raise SpecError([Problem(place, what, "name that folder with --out, or `batch cancel` it first")])
        other = [key for key in _KEPT if key in spec and was.get(key) != spec[key]]
        if other:
            note(f"{place} is there already, and keeps its own {', '.join(other)}; `batch cancel` it to change that")
