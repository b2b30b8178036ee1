"""The memory of clusters on demand, to and from `status.memory` of the Fleet.

As for a GPUService, what is read back is not trusted: a status may come from a backup or from somebody's hand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from controlplane.api.codec import MemoryUnreadable
from controlplane.api.status import rfc3339
from controlplane.model.growth import GROWTH_VERSION, Grown, GrowthMemory, RegionPast
from controlplane.model.growthplan import RegionVerdict

_ADAPTER: TypeAdapter[GrowthMemory] = TypeAdapter(GrowthMemory)


def growth_to_status(memory: GrowthMemory) -> dict[str, Any]:
    """Give the JSON form of a memory; empty and default values are left out."""
    wire: dict[str, Any] = _ADAPTER.dump_python(memory, mode="json", exclude_defaults=True)
    return {**wire, "version": GROWTH_VERSION}


def growth_from_status(status: Mapping[str, Any] | None) -> GrowthMemory:
    """Read the memory of a Fleet's status; one without gives a fresh memory. Raises MemoryUnreadable."""
    wire = (status or {}).get("memory")
    if wire is None:
        return GrowthMemory()
    if not isinstance(wire, Mapping) or wire.get("version") != GROWTH_VERSION:
        found = wire.get("version") if isinstance(wire, Mapping) else wire
        raise MemoryUnreadable(f"status.memory has version {found!r}, this program reads {GROWTH_VERSION}"[:256])
    try:
        memory = _ADAPTER.validate_python(wire, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MemoryUnreadable(f"status.memory.{where}: {first['msg']}"[:256]) from error
    _check(memory)
    return memory


def verdicts_to_status(verdicts: Iterable[RegionVerdict]) -> list[dict[str, str]]:
    """Give the verdicts as users read them in `status.growth`."""
    return [
        {
            key: value
            for key, value in (
                ("region", each.region),
                ("reason", each.reason),
                ("message", each.message[:300]),
                ("cluster", each.cluster),
                ("stage", each.stage),
                ("nextTry", rfc3339(each.next_try) if each.next_try else ""),
            )
            if value
        }
        for each in verdicts
    ]


def _check(memory: GrowthMemory) -> None:
    """Refuse what fits the types and would still break whoever compares. Raises MemoryUnreadable."""
    for link in memory.clusters:
        location, slash, name = link.partition("/")
        if not (location and slash and name) or "/" in name:
            raise MemoryUnreadable(f"status.memory.clusters: {link!r} is not LOCATION/NAME"[:256])
    records: dict[str, Grown | RegionPast] = {**memory.clusters, **memory.regions}
    for key, record in records.items():
        instants = (getattr(record, each.name) for each in fields(record))
        if any(isinstance(instant, datetime) and instant.tzinfo is None for instant in instants):
            raise MemoryUnreadable(f"status.memory of {key} holds an instant without a time zone"[:256])
