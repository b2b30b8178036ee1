"""The status of a GPUBatch: what its user reads, and the memory of the batch on its way there and back.

As with a GPUService, the status is written by others too, so reading it back trusts nothing: what does not fit is
MemoryUnreadable. Shards are numbers from 0 without holes mostly, so sets of them are written as `0-4,7`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from controlplane.api.codec import MemoryUnreadable, memory_from_status, memory_to_status
from controlplane.api.status import conditions_of, rfc3339
from controlplane.model.batch import BatchMemory, BatchPhase, BatchSpec, numbers_of, runs
from controlplane.model.decision import Condition, Counts

VERSION = 1


def batch_status_of(
    batch: BatchSpec,
    memory: BatchMemory,
    conditions: tuple[Condition, ...],
    previous: Mapping[str, Any] | None,
    now: datetime,
    *,
    counts: Counts,
    refusals: Mapping[str, int],
) -> dict[str, Any]:
    """Give the whole status. Conditions keep their lastTransitionTime while their status stays the same."""
    failed = pictures_failed(batch, memory)
    status: dict[str, Any] = {
        "observedGeneration": batch.generation,
        "phase": memory.phase.value,
        "done": f"{pictures_done(batch, memory)}/{batch.pictures or '?'}",
        "failed": failed,
        "shards": f"{len(memory.done)}/{batch.shards}",
        "workers": f"{counts.serving}/{counts.wanted}",
        "regions": ",".join(memory.regions),
        "accelerators": ",".join(name.removeprefix("nvidia-") for name in memory.accelerators),
        "cost": f"{memory.spent:.2f}",
        "hourlyCost": f"{counts.hourly_cost:.2f}",
        "output": batch.output,
        "conditions": conditions_of(conditions, (previous or {}).get("conditions"), batch.generation, now),
        "refusals": dict(refusals),
        "memory": batch_memory_to_status(memory),
    }
    if memory.ended_at is not None:
        status["endedAt"] = rfc3339(memory.ended_at)
    return status


def pictures_done(batch: BatchSpec, memory: BatchMemory) -> int:
    """Count the pictures of finished shards that did not fail."""
    bad = sum(memory.bad_pictures.get(shard, 0) for shard in memory.done)
    return sum(batch.pictures_in(shard) for shard in memory.done if shard < batch.shards) - bad


def pictures_failed(batch: BatchSpec, memory: BatchMemory) -> int:
    """Count the pictures that failed for good, alone or with their shard."""
    lost = sum(batch.pictures_in(shard) for shard in memory.lost - memory.done if shard < batch.shards)
    return lost + sum(memory.bad_pictures.get(shard, 0) for shard in memory.done)


def inbox_status_of(
    batch: BatchSpec, previous: Mapping[str, Any], taken: int, rejected: Iterable[str]
) -> dict[str, Any]:
    """Give the status of an inbox: how many files became batches, and which were refused last."""
    refused = list(rejected) or list(previous.get("rejected") or [])
    return {"observedGeneration": batch.generation, "phase": "Inbox", "taken": taken, "rejected": refused[-10:]}


def batch_worth_writing(new: Mapping[str, Any], previous: Mapping[str, Any] | None) -> bool:
    """Say whether a status differs from the last one by more than what time alone adds to the bill."""
    return _comparable(new) != _comparable(previous or {})


def _comparable(status: Mapping[str, Any]) -> dict[str, Any]:
    memory = status.get("memory")
    if isinstance(memory, Mapping):
        hunt = memory.get("hunt")
        hunt = {k: v for k, v in hunt.items() if k != "passes"} if isinstance(hunt, Mapping) else hunt
        memory = {**{k: v for k, v in memory.items() if k not in ("countedAt", "fence", "spent")}, "hunt": hunt}
    return {**status, "memory": memory, "cost": None, "hourlyCost": None}


def batch_memory_to_status(memory: BatchMemory) -> dict[str, Any]:
    """Give the JSON form of a memory, without what is empty."""
    wire: dict[str, Any] = {
        "version": VERSION,
        "phase": memory.phase.value,
        "done": runs(sorted(memory.done)),
        "lost": runs(sorted(memory.lost)),
        "badPictures": {str(shard): count for shard, count in sorted(memory.bad_pictures.items()) if count},
        "failures": {str(shard): sorted(jobs) for shard, jobs in sorted(memory.failures.items()) if jobs},
        "spent": round(memory.spent, 6),
        "rate": round(memory.rate, 6),
        "countedAt": memory.counted_at.isoformat() if memory.counted_at else "",
        "endedAt": memory.ended_at.isoformat() if memory.ended_at else "",
        "reason": memory.reason,
        "message": memory.message,
        "asked": memory.asked,
        "pictures": memory.pictures,
        "regions": list(memory.regions),
        "accelerators": list(memory.accelerators),
    }
    kept = {key: value for key, value in wire.items() if value not in ("", 0, 0.0, {}, [])}
    return {**kept, "hunt": memory_to_status(memory.hunt)}


def batch_memory_from_status(status: Mapping[str, Any] | None) -> BatchMemory:
    """Read the memory of a status; one that was never written gives a fresh memory. Raises MemoryUnreadable."""
    wire = (status or {}).get("memory")
    if wire is None and "phase" not in (status or {}):
        return BatchMemory()
    if wire is None:
        raise MemoryUnreadable("status.memory is gone, and with it what was spent")
    if not isinstance(wire, Mapping) or wire.get("version") != VERSION:
        raise MemoryUnreadable(f"status.memory is not of version {VERSION}, which this program reads")
    try:
        memory = BatchMemory(
            phase=BatchPhase(wire.get("phase", BatchPhase.RUNNING)),
            done=frozenset(numbers_of(str(wire.get("done", "")))),
            lost=frozenset(numbers_of(str(wire.get("lost", "")))),
            bad_pictures={int(shard): int(count) for shard, count in _map(wire, "badPictures").items()},
            failures={int(shard): frozenset(map(str, jobs)) for shard, jobs in _map(wire, "failures").items()},
            spent=float(wire.get("spent", 0)),
            rate=float(wire.get("rate", 0)),
            counted_at=_instant(wire.get("countedAt")),
            ended_at=_instant(wire.get("endedAt")),
            reason=str(wire.get("reason", "")),
            message=str(wire.get("message", "")),
            asked=str(wire.get("asked", "")),
            pictures=int(wire.get("pictures", 0)),
            regions=_texts(wire.get("regions")),
            accelerators=_texts(wire.get("accelerators")),
        )
    except (TypeError, ValueError) as error:
        raise MemoryUnreadable(f"status.memory cannot be read: {str(error)[:120]}") from error
    return replace(memory, hunt=memory_from_status({"memory": wire.get("hunt")}))


def _map(wire: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = wire.get(key, {})
    if not isinstance(value, Mapping):
        raise TypeError(f"{key} is not a mapping")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if value is not None and not isinstance(value, list):
        raise TypeError("a list was expected")
    items: Iterable[object] = value or ()
    return tuple(str(item) for item in items)


def _instant(text: object) -> datetime | None:
    if not text:
        return None
    instant = datetime.fromisoformat(str(text))
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return instant
