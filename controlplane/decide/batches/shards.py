"""Which shards a new Job takes first, so that regions meet late and nothing is lost when one of them goes.

Every Job is given every shard that is not ended yet, only in an order of its own: its share first, then the others'
shares from their far ends. So a region that disappears needs no handing over, for the others come to its shards by
themselves, and one that is done early helps the others. A worker that comes to a shard which another has finished finds
the pictures there and leaves at once. Within a shard every worker takes the pictures in an order of its own and looks
before each, so that several at the same shard share it; a picture that two begin at the same moment is rendered twice,
into the same file. These are the backup tasks of MapReduce (Dean and Ghemawat, 2004, section 3.6) without a master that
hands out tasks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.model.batch import JobFact


@dataclass(frozen=True, slots=True)
class Head:
    """Where in the remaining shards a Job is at work now, and with how many workers."""

    at: int
    workers: int


def order(remaining: Sequence[int], heads: Iterable[Head], workers: int) -> tuple[int, ...]:
    """Give the remaining shards in the order of a new Job with so many workers, beside the Jobs that are at work.

    It begins in the widest gap between two Jobs, at the point where both would end at the same time.
    """
    count, known = len(remaining), sorted(heads, key=lambda head: head.at)
    if not known or not count:
        return tuple(remaining)
    ends = [head.at for head in known[1:]] + [known[0].at + count]
    before, end = max(zip(known, ends, strict=True), key=lambda gap: (gap[1] - gap[0].at, -gap[0].at))
    gap = end - before.at
    start = before.at + max(1, round(gap * before.workers / (before.workers + workers))) if gap > 1 else end
    own = range(start, end)
    others = range(start - 1, start - 1 - (count - len(own)), -1)
    return tuple(remaining[position % count] for position in (*own, *others))


def heads_of(remaining: Sequence[int], jobs: Iterable[JobFact]) -> tuple[Head, ...]:
    """Give where the Jobs that are at work stand in the remaining shards."""
    place = {shard: position for position, shard in enumerate(remaining)}
    found = []
    for job in jobs:
        first = next((place[shard] for shard in job.left if shard in place), None)
        if first is not None and not job.finished:
            found.append(Head(first, max(1, job.workload.replicas)))
    return tuple(found)
