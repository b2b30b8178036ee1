"""What a GPUBatch is, as values: pictures to render once, wherever GPUs can be had, and how far that has come.

The pictures of a parameters file are cut into shards. Which picture lies in which shard follows from the file and
`shard_size` alone, so every Job, in whatever region, means the same by a shard's number.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from controlplane.model.memory import Memory
from controlplane.model.observation import WorkloadFact
from controlplane.model.offering import Accelerator, Capacity, Offering
from controlplane.model.service import PodTemplate, Regions, Timing


@dataclass(frozen=True, slots=True)
class SecretVariable:
    """An environment variable whose value stands in a Secret of the member cluster, never in the GPUBatch."""

    name: str
    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """One GPUBatch as the decision sees it.

    parameters, output: URIs. pictures: how many the file asks for. max_cost: USD over the batch's whole life;
    max_hourly_cost: USD an hour at any moment. deadline: since creation. retries: of a shard in one region.
    service_account: of the member clusters, as which workers reach the bucket; empty for the namespace's own.
    """

    name: str
    namespace: str
    uid: str
    generation: int
    parameters: str
    output: str
    pictures: int
    accelerators: tuple[Accelerator, ...]
    pod: PodTemplate
    created_at: datetime | None = None
    shard_size: int = 20
    parallelism: int = 1
    retries: int = 3
    capacity_types: tuple[Capacity, ...] = (Capacity.SPOT, Capacity.ON_DEMAND)
    regions: Regions = field(default_factory=Regions)
    timing: Timing = field(default_factory=Timing)
    secrets: tuple[SecretVariable, ...] = ()
    service_account: str = ""
    deadline: timedelta | None = None
    max_cost: float | None = None
    max_hourly_cost: float | None = None
    paused: bool = False
    deleting: bool = False

    @property
    def key(self) -> str:
        """Give namespace/name."""
        return f"{self.namespace}/{self.name}"

    @property
    def inbox(self) -> bool:
        """It names a folder: every file that is dropped there becomes a batch of its own."""
        return self.parameters.endswith("/")

    @property
    def shards(self) -> int:
        """How many shards the pictures are cut into."""
        return -(-self.pictures // self.shard_size)

    def pictures_in(self, shard: int) -> int:
        """How many pictures a shard holds; the last one may be shorter."""
        return min(self.shard_size, self.pictures - shard * self.shard_size)


class BatchPhase(StrEnum):
    """How far a batch is."""

    RUNNING = "Running"
    PAUSED = "Paused"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def over(self) -> bool:
        """Nothing more is rendered for it."""
        return self in (BatchPhase.SUCCEEDED, BatchPhase.FAILED)


@dataclass(frozen=True, slots=True)
class JobFact:
    """A placement's Job as it stands in its cluster.

    workload: the Job seen as a placement of workers. shards: by completion index, the shard each index renders.
    done, failed: shards that this Job has ended, well or after all retries. bad_pictures: by shard that is done, how
    many of its pictures failed for good. trouble: what a failed Pod said last. stuck: why a container cannot start.
    finished: nothing of it runs any more. owner: the uid of its GPUBatch; empty where that is not known.
    """

    workload: WorkloadFact
    shards: tuple[int, ...]
    done: frozenset[int] = frozenset()
    failed: frozenset[int] = frozenset()
    bad_pictures: Mapping[int, int] = field(default_factory=dict)
    trouble: str = ""
    finished: bool = False
    owner: str = ""
    stuck: str = ""

    @property
    def offering(self) -> Offering:
        """Where it runs."""
        return self.workload.offering

    @property
    def left(self) -> tuple[int, ...]:
        """The shards that it has not ended yet, in the order in which it takes them."""
        return tuple(shard for shard in self.shards if shard not in self.done and shard not in self.failed)


@dataclass(frozen=True, slots=True)
class BatchMemory:
    """What must outlive a pass.

    done: shards that are rendered. bad_pictures: by shard, pictures that failed for good. failures: by shard, the
    uids of the Jobs in which all its retries were used up. lost: shards that are given up. spent: USD so far, up to
    `counted_at`; rate: USD an hour then. hunt: what the hunt remembers. asked: the fingerprint of what was asked for;
    it must not change on the way. pictures: how many were counted, where the spec does not say. regions, accelerators:
    where pictures were rendered.
    """

    phase: BatchPhase = BatchPhase.RUNNING
    done: frozenset[int] = frozenset()
    bad_pictures: Mapping[int, int] = field(default_factory=dict)
    failures: Mapping[int, frozenset[str]] = field(default_factory=dict)
    lost: frozenset[int] = frozenset()
    spent: float = 0.0
    rate: float = 0.0
    counted_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""
    message: str = ""
    hunt: Memory = field(default_factory=Memory)
    asked: str = ""
    pictures: int = 0
    regions: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StartJob:
    """Create a placement's Job: so many workers over these shards, in this order."""

    offering: Offering
    workers: int
    shards: tuple[int, ...]
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"start {self.workers} worker(s) on {self.offering} for {len(self.shards)} shard(s): {self.why}"


@dataclass(frozen=True, slots=True)
class ScaleJob:
    """Set how many workers a Job has, under its resourceVersion."""

    offering: Offering
    name: str
    workers: int
    resource_version: str
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"set {self.offering} to {self.workers} worker(s): {self.why}"


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a Job with its Pods, under its uid."""

    offering: Offering
    name: str
    uid: str
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"delete the Job on {self.offering}: {self.why}"


@dataclass(frozen=True, slots=True)
class ReleaseBatch:
    """Let a deleted GPUBatch go: nothing of it is left."""

    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"remove the finalizer: {self.why}"


BatchAction = StartJob | ScaleJob | DeleteJob | ReleaseBatch


MOST_NUMBERS = 100_000


def runs(numbers: Iterable[int]) -> str:
    """Write numbers in their order as `3-5,0-2`: runs upwards are folded."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def numbers_of(text: str) -> tuple[int, ...]:
    """Read what `runs` wrote. Raises ValueError for anything else, and for more numbers than any batch has shards."""
    found: list[int] = []
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if dash and int(last) - int(first) >= MOST_NUMBERS:
            raise ValueError(f"{part!r} is more than the {MOST_NUMBERS:,} shards that a batch may have")
        found += range(int(first), int(last) + 1) if dash else [int(first)]
    return tuple(found)
