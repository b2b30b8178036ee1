"""Memory to and from the status of the GPUService.

The status is written by others too (a restore from backup, a person with kubectl), so reading it back never trusts it:
anything that does not fit is MemoryUnreadable, and the pass goes on in safe mode with a fresh memory.

Version 1 knew of an offering what happened last; version 2 adds what was learnt over time (`OfferingMemory.tries` and
the fields after it). A memory of version 1 is one that has learnt nothing yet, and is written as version 2.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from controlplane.model.memory import MEMORY_VERSION, Memory

_ADAPTER: TypeAdapter[Memory] = TypeAdapter(Memory)
_READABLE = (1, MEMORY_VERSION)
_LEARNT = ("tries", "wins", "losses", "exposure")
_DIGITS = 4


class MemoryUnreadable(Exception):  # noqa: N818 - it names a state of the memory, not a fault of the program
    """The memory in a status could not be read; the message says why, in one line."""


def memory_to_status(memory: Memory) -> dict[str, Any]:
    """Give the JSON form of a memory, small: empty and default values are left out, what was learnt is rounded."""
    wire: dict[str, Any] = _ADAPTER.dump_python(memory, mode="json", exclude_defaults=True)
    for offering in wire.get("offerings", {}).values():
        _round(offering)
    return {**wire, "version": MEMORY_VERSION}


def _round(offering: dict[str, Any]) -> None:
    for name in _LEARNT:
        if name in offering:
            offering[name] = round(offering[name], _DIGITS)
            if not offering[name]:
                del offering[name]


def memory_from_status(status: Mapping[str, Any] | None) -> Memory:
    """Read the memory of a status; a status without one gives a fresh memory. Raises MemoryUnreadable."""
    wire = (status or {}).get("memory")
    if wire is None:
        return Memory()
    if not isinstance(wire, Mapping):
        raise MemoryUnreadable("status.memory is not a mapping")
    if wire.get("version") not in _READABLE:
        known = " and ".join(map(str, _READABLE))
        raise MemoryUnreadable(f"status.memory has version {wire.get('version')!r}, this program reads {known}")
    try:
        memory = _ADAPTER.validate_python({**wire, "version": MEMORY_VERSION}, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MemoryUnreadable(f"status.memory.{where}: {first['msg']}"[:256]) from error
    _check(memory)
    return memory


def _check(memory: Memory) -> None:
    """Refuse what fits the types and would still break whoever compares or divides. Raises MemoryUnreadable."""
    for where, value in _records(memory):
        if any(instant is not None and instant.tzinfo is None for instant in _instants(value)):
            raise MemoryUnreadable(f"status.memory.{where} holds an instant without a time zone"[:256])
    for key, offering in memory.offerings.items():
        for name in _LEARNT:
            amount = getattr(offering, name)
            if not 0 <= amount < math.inf:
                raise MemoryUnreadable(f"status.memory.offerings.{key}.{name}: {amount} is no amount"[:256])


def _records(memory: Memory) -> Iterator[tuple[str, object]]:
    """Yield all that a memory holds, with its place; what is held in numbers, one by one."""
    for field in fields(memory):
        value = getattr(memory, field.name)
        if isinstance(value, Mapping):
            yield from ((f"{field.name}.{key}", item) for key, item in value.items())
        elif isinstance(value, tuple):
            yield from ((f"{field.name}[{number}]", item) for number, item in enumerate(value))
        else:
            yield field.name, value


def _instants(value: object) -> Iterator[datetime | None]:
    """Yield the instants of a record, or the one that it is; none of what is neither."""
    if isinstance(value, datetime):
        yield value
    elif is_dataclass(value):
        yield from (getattr(value, f.name) for f in fields(value) if datetime in (f.type, *get_args(f.type)))
