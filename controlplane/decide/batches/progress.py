"""How far a batch has come: which shards are ended, what it has cost, and whether it is over."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from controlplane.model.batch import BatchMemory, BatchPhase, BatchSpec, JobFact
from controlplane.model.reasons import Reason

JOBS_PER_SHARD = 2
"""Jobs in which all retries of a shard must be used up until it is given up."""

MARGIN_SECONDS = 120.0
"""What is held may run this much longer until it is seen and stopped: two passes of a scheduled job."""


def asked_of(batch: BatchSpec) -> str:
    """Give what decides which picture lies in which shard, and where it goes."""
    return f"{batch.parameters} {batch.output} {batch.pictures} {batch.shard_size}"


def advance(batch: BatchSpec, memory: BatchMemory, jobs: Iterable[JobFact], now: datetime) -> BatchMemory:
    """Take down what the Jobs have ended since the last pass, and what was spent meanwhile at the rate known then."""
    known = tuple(jobs)
    done = memory.done.union(*(job.done for job in known))
    bad = dict(memory.bad_pictures)
    failures: dict[int, frozenset[str]] = dict(memory.failures)
    for job in known:
        bad |= {shard: count for shard, count in job.bad_pictures.items() if shard in job.done and shard not in bad}
        for shard in job.failed - done:
            failures[shard] = failures.get(shard, frozenset()) | {job.workload.uid}
    failures = {shard: uids for shard, uids in failures.items() if shard not in done}
    told = next((job.trouble for job in known if job.trouble and job.failed), "")
    working = [job for job in known if job.done or any(pod.scheduled for pod in job.workload.live_pods)]
    return replace(
        memory,
        done=done,
        bad_pictures=bad,
        failures=failures,
        lost=frozenset(shard for shard, uids in failures.items() if len(uids) >= JOBS_PER_SHARD),
        spent=_spent(memory, now),
        counted_at=now,
        asked=memory.asked or asked_of(batch),
        message=memory.message if memory.phase.over else (told or memory.message),
        regions=_more(memory.regions, (job.offering.region for job in working)),
        accelerators=_more(memory.accelerators, (str(job.offering.accelerator) for job in working)),
    )


def as_asked(batch: BatchSpec, memory: BatchMemory) -> BatchSpec:
    """Give the batch as it was when it began, whatever was changed in it since."""
    addresses, pictures, size = memory.asked.rsplit(" ", 2)
    parameters, _, output = addresses.partition(" ")
    return replace(batch, parameters=parameters, output=output, pictures=int(pictures), shard_size=int(size))


def remaining(batch: BatchSpec, memory: BatchMemory) -> tuple[int, ...]:
    """Give the shards that are neither rendered nor given up."""
    return tuple(shard for shard in range(batch.shards) if shard not in memory.done and shard not in memory.lost)


def ended(batch: BatchSpec, memory: BatchMemory, now: datetime) -> BatchMemory:
    """Give the memory with its last phase, if the batch is over."""
    if memory.phase.over:
        return memory
    verdict = _verdict(batch, memory, now)
    if verdict is None:
        return replace(memory, phase=BatchPhase.PAUSED if batch.paused else BatchPhase.RUNNING)
    phase, reason, message = verdict
    return replace(memory, phase=phase, reason=reason, message=message, ended_at=now)


def _verdict(batch: BatchSpec, memory: BatchMemory, now: datetime) -> tuple[BatchPhase, str, str] | None:
    left = len(remaining(batch, memory))
    if batch.pictures and not left:
        if memory.lost:
            why = f": {memory.message}" if memory.message else ""
            what = f"{len(memory.lost)} of {batch.shards} shards could not be rendered{why}"
            return BatchPhase.FAILED, Reason.SHARDS_FAILED.value, what
        bad = sum(memory.bad_pictures.values())
        told = f"all pictures are there, but for {bad} that failed; manifest.json says why" if bad else "all are there"
        return BatchPhase.SUCCEEDED, Reason.ALL_RENDERED.value, told
    if batch.deadline is not None and batch.created_at is not None and now - batch.created_at >= batch.deadline:
        return (
            BatchPhase.FAILED,
            Reason.DEADLINE_EXCEEDED.value,
            f"{left} of {batch.shards} shards were left at the deadline",
        )
    cap = batch.max_cost
    if cap is not None and memory.rate > 0 and memory.spent + memory.rate * MARGIN_SECONDS / 3600 >= cap:
        what = f"${memory.spent:.2f} of ${cap:.2f} are spent and {left} of {batch.shards} shards are left"
        return BatchPhase.FAILED, Reason.COST_CAP_REACHED.value, what
    return None


def affordable_rate(batch: BatchSpec, memory: BatchMemory) -> float | None:
    """Give USD an hour that may be spent at most, so that the next passes stay within both caps; None without a cap."""
    if batch.max_cost is None:
        return batch.max_hourly_cost
    rest = max(0.0, batch.max_cost - memory.spent) * 3600 / MARGIN_SECONDS
    return rest if batch.max_hourly_cost is None else min(rest, batch.max_hourly_cost)


def beyond_means(batch: BatchSpec, memory: BatchMemory, cheapest: float | None) -> bool:
    """Say whether the rest of `maxCost` buys nothing any more, not even the cheapest offering (USD an hour)."""
    if batch.max_cost is None or memory.spent <= 0 or memory.rate > 0 or memory.hunt.placements:
        return False
    rest = max(0.0, batch.max_cost - memory.spent) * 3600 / MARGIN_SECONDS
    return rest <= 0 or (cheapest is not None and cheapest > rest)


def cost_capped(batch: BatchSpec, memory: BatchMemory, now: datetime) -> BatchMemory:
    """End a batch whose means are used up."""
    left = len(remaining(batch, memory))
    what = f"${memory.spent:.2f} of ${batch.max_cost or 0:.2f} are spent and {left} of {batch.shards} shards are left"
    return replace(memory, phase=BatchPhase.FAILED, reason=Reason.COST_CAP_REACHED.value, message=what, ended_at=now)


def _spent(memory: BatchMemory, now: datetime) -> float:
    if memory.counted_at is None or now <= memory.counted_at:
        return memory.spent
    return memory.spent + memory.rate * (now - memory.counted_at).total_seconds() / 3600


def _more(known: tuple[str, ...], seen: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*known, *seen}))
