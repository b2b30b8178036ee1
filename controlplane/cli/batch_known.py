"""Batches that are there already, as a person names them: found by what is remembered.

A batch is named after what its file holds and where its pictures go, so the same file finds the same batch whatever
else is asked for; what would then not be done is said, never passed over.
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


def tell_of_settings(working: "App", namespace: str, name: str, spec: Mapping[str, Any]) -> None:
    """Say which settings are asked for that a batch which is there already does not take over."""
    for batch in working.batches(namespace, name):
        was = batch.get("spec") or {}
        other = [key for key in _KEPT if key in spec and was.get(key) != spec[key]]
        if other and not batch["metadata"].get("deletionTimestamp"):
            place = f"{namespace}/{name}"
            note(f"{place} is there already, and keeps its own {', '.join(other)}; `batch cancel` it to change that")
