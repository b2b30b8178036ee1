"""Memory to and from the status of the GPUService.

The status is written by others too (a restore from backup, a person with kubectl), so reading it back never trusts it:
anything that does not fit is MemoryUnreadable, and the pass goes on in safe mode with a fresh memory.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from controlplane.model.memory import MEMORY_VERSION, Memory

_ADAPTER: TypeAdapter[Memory] = TypeAdapter(Memory)


class MemoryUnreadable(Exception):  # noqa: N818 - it names a state of the memory, not a fault of the program
    """The memory in a status could not be read; the message says why, in one line."""


def memory_to_status(memory: Memory) -> dict[str, Any]:
    """Give the JSON form of a memory; empty and default values are left out to keep the object small."""
    wire: dict[str, Any] = _ADAPTER.dump_python(memory, mode="json", exclude_defaults=True)
    return {"version": memory.version, **wire}


def memory_from_status(status: Mapping[str, Any] | None) -> Memory:
    """Read the memory of a status; a status without one gives a fresh memory. Raises MemoryUnreadable."""
    wire = (status or {}).get("memory")
    if wire is None:
        return Memory()
    if not isinstance(wire, Mapping):
        raise MemoryUnreadable("status.memory is not a mapping")
    if wire.get("version") != MEMORY_VERSION:
        raise MemoryUnreadable(
            f"status.memory has version {wire.get('version')!r}, this program reads {MEMORY_VERSION}"
        )
    try:
        memory = _ADAPTER.validate_python(wire, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MemoryUnreadable(f"status.memory.{where}: {first['msg']}"[:256]) from error
    if any(instant.tzinfo is None for instant in memory.unknown_since.values()):
        raise MemoryUnreadable("status.memory.unknownSince holds an instant without a time zone")
    return memory
