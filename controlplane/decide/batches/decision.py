"""One decision for one batch: fold in what is done, end what is over, and hunt for workers for the rest. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from controlplane.decide.batches.as_service import Ahead, Jobs, as_observation, as_service, restored, yielding
from controlplane.decide.batches.progress import (
    advance,
    affordable_rate,
    as_asked,
    asked_of,
    beyond_means,
    cost_capped,
    ended,
    remaining,
)
from controlplane.decide.batches.shards import Head, heads_of, order
from controlplane.decide.decider import decide
from controlplane.model.batch import (
    BatchAction,
    BatchMemory,
    BatchPhase,
    BatchSpec,
    DeleteJob,
    JobFact,
    ReleaseBatch,
    ScaleJob,
    StartJob,
)
from controlplane.model.decision import (
    Action,
    ApplyPlacement,
    Condition,
    Counts,
    DeletePlacement,
    ScaleDownPlacement,
    Suppressed,
    Verdict,
    histogram_of,
)
from controlplane.model.facts import Known
from controlplane.model.observation import Observation
from controlplane.model.offering import Offering
from controlplane.model.reasons import Reason

NOBODY = Counts(0, 0, 0, 0, 0, 0.0, (), ())


@dataclass(frozen=True, slots=True)
class Seen:
    """What one pass saw for one batch.

    jobs: its Jobs by member cluster. ahead: what services want first. behind: an earlier batch that must be over first,
    since it renders into the same folder.
    """

    observation: Observation
    jobs: Jobs
    now: datetime
    ahead: Ahead = field(default_factory=Ahead)
    behind: str = ""

    @property
    def cheapest(self) -> float | None:
        """USD an hour of the cheapest offering whose price is known."""
        prices = self.observation.prices.items()
        return min((price * offering.accelerator.count for offering, price in prices), default=None)

    @property
    def all_jobs(self) -> tuple[JobFact, ...]:
        """The Jobs of the clusters that answered."""
        return tuple(job for facts in self.jobs.values() if isinstance(facts, Known) for job in facts.value)


@dataclass(frozen=True, slots=True)
class BatchDecision:
    """The outcome of one pass for one batch. waits_for: what keeps a batch that is over or deleted from being gone."""

    plan: tuple[BatchAction, ...]
    memory: BatchMemory
    conditions: tuple[Condition, ...]
    counts: Counts = NOBODY
    verdicts: tuple[Verdict, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    feasible: bool = True
    waits_for: str = ""

    @property
    def histogram(self) -> Mapping[str, int]:
        """How many offerings were refused for which first reason, most frequent first."""
        return histogram_of(self.verdicts)


def decide_batch(batch: BatchSpec, seen: Seen, memory: BatchMemory) -> BatchDecision:
    """Decide what this pass does for one batch. The same inputs give the same decision."""
    if batch.paused and not batch.deleting:
        return BatchDecision((), memory, _conditions(batch, memory, NOBODY, {}))
    if (earlier := _of_an_earlier(batch, seen)) and not batch.deleting:
        return _clear(batch, earlier, memory)
    changed = bool(memory.asked) and memory.asked != asked_of(batch) and not batch.deleting
    begun = as_asked(batch, memory) if changed else batch
    known = ended(begun, advance(begun, memory, seen.all_jobs, seen.now), seen.now)
    if not known.phase.over and not seen.all_jobs and beyond_means(begun, known, seen.cheapest):
        known = cost_capped(begun, known, seen.now)
    if batch.deleting or known.phase.over:
        return _take_down(begun, seen, known)
    if changed:
        return _changed(begun, known)
    if seen.behind:
        return _behind(batch, known, f"{seen.behind} renders into the same folder, and comes first")
    return _hunt(batch, seen, known)


def _of_an_earlier(batch: BatchSpec, seen: Seen) -> tuple[JobFact, ...]:
    """Give the Jobs of a GPUBatch of this name that is gone: by their shards, other pictures may have been meant."""
    return tuple(job for job in seen.all_jobs if job.owner and batch.uid and job.owner != batch.uid)


def _clear(batch: BatchSpec, earlier: Iterable[JobFact], memory: BatchMemory) -> BatchDecision:
    why = "it belongs to an earlier GPUBatch of this name, which is gone"
    plan = tuple(
        DeleteJob(job.offering, job.workload.name, job.workload.uid, why)
        for job in earlier
        if not job.workload.deleting
    )
    return replace(_behind(batch, memory, "Jobs of an earlier GPUBatch of this name are being deleted"), plan=plan)


def _behind(batch: BatchSpec, memory: BatchMemory, why: str) -> BatchDecision:
    """Wait for what must be gone first."""
    waits = Condition("Progressing", "False", Reason.WAITS_FOR_ANOTHER.value, why)
    told = tuple(c for c in _conditions(batch, memory, NOBODY, {}) if c.type != waits.type)
    return BatchDecision((), memory, (*told, waits), waits_for=why)


def _hunt(batch: BatchSpec, seen: Seen, memory: BatchMemory) -> BatchDecision:
    left, standing = remaining(batch, memory), seen.all_jobs
    service = as_service(batch, _workers(batch, left, standing), most_an_hour=affordable_rate(batch, memory))
    before = yielding(memory.hunt, seen.ahead, seen.now)
    decision = decide(service, as_observation(service, seen.observation, seen.jobs, memory.hunt), before, seen.now)
    spent = [job for job in standing if not job.workload.deleting and (job.finished or not job.left)]
    plan = (*_translated(decision.plan, left, standing), *(_done_with(job) for job in spent))
    counts = decision.counts
    return BatchDecision(
        plan=plan,
        memory=replace(memory, hunt=restored(decision.memory, memory.hunt, seen.ahead), rate=counts.hourly_cost),
        conditions=_conditions(batch, memory, counts, decision.histogram, stuck=_stuck(standing)),
        counts=counts,
        verdicts=decision.verdicts,
        suppressed=tuple(s for s in decision.suppressed if isinstance(s.action, _MEANT)),
        feasible=decision.feasible or bool(spent),
    )


def _stuck(standing: Iterable[JobFact]) -> str:
    """Say which workers have their GPU and cannot start, as one word for all."""
    job = next((job for job in standing if job.stuck), None)
    return "" if job is None else f"; a worker in {job.offering.region} cannot start: {job.stuck}"


_MEANT = (ApplyPlacement, ScaleDownPlacement, DeletePlacement)


def _workers(batch: BatchSpec, left: tuple[int, ...], standing: Iterable[JobFact]) -> int:
    """Give how many workers are wanted: no more than shards, but nobody who is at work is sent away for that."""
    at_work = sum(min(job.workload.replicas, len(job.left)) for job in standing if not job.finished)
    return max(1, min(batch.parallelism, max(len(left), at_work)))


def _translated(plan: Iterable[Action], left: tuple[int, ...], standing: Sequence[JobFact]) -> list[BatchAction]:
    """Give the hunt's actions as actions on Jobs; the address that a batch does not have is left out."""
    jobs = {job.offering: job for job in standing}
    heads = list(heads_of(left, standing))
    actions: list[BatchAction] = []
    for action in plan:
        match action:
            case ApplyPlacement(offering=offering, replicas=workers, resource_version=None) if offering not in jobs:
                shards = order(left, heads, workers)
                if shards:
                    heads.append(Head(left.index(shards[0]), workers))
                    actions.append(StartJob(offering, workers, shards, action.why))
            case ApplyPlacement(offering=offering, replicas=workers, resource_version=str(version), adds=adds) if adds:
                actions.append(ScaleJob(offering, jobs[offering].workload.name, workers, version, action.why))
            case ScaleDownPlacement(offering=offering, replicas=workers, resource_version=version):
                actions.append(ScaleJob(offering, jobs[offering].workload.name, workers, version, action.why))
            case DeletePlacement(offering=offering, uid=uid):
                actions.append(DeleteJob(offering, jobs[offering].workload.name, uid, action.why))
            case _:
                pass
    return actions


def _done_with(job: JobFact) -> DeleteJob:
    why = "it has no shard left to render" if not job.failed else "it cannot render what it has left"
    return DeleteJob(job.offering, job.workload.name, job.workload.uid, why)


def _take_down(batch: BatchSpec, seen: Seen, memory: BatchMemory) -> BatchDecision:
    """Delete every Job that can be seen; a deleted GPUBatch goes when nothing of it can be left anywhere."""
    why = "the batch is being deleted" if batch.deleting else f"the batch is over: {memory.reason}"
    deletions = tuple(
        DeleteJob(job.offering, job.workload.name, job.workload.uid, why)
        for job in seen.all_jobs
        if not job.workload.deleting
    )
    known = isinstance(seen.observation.fleet, Known) and not seen.observation.unlisted
    dark = sorted(ref.link for ref, facts in seen.jobs.items() if not isinstance(facts, Known))
    waits = ""
    if seen.all_jobs:
        waits = "Jobs are being deleted"
    elif dark or not known:
        waits = f"cannot see whether anything is left in {', '.join(dark) or 'the fleet'}"
    release = (ReleaseBatch("nothing of it is left"),) if batch.deleting and not waits else ()
    running = any(pod.scheduled for job in seen.all_jobs for pod in job.workload.live_pods)
    running = running or any(_dark(seen, placement.offering) for placement in memory.hunt.placements)
    return BatchDecision(
        plan=(*deletions, *release),
        memory=memory if running else replace(memory, rate=0.0),
        conditions=_conditions(batch, memory, NOBODY, {}, waits),
        waits_for=waits,
    )


def _dark(seen: Seen, offering: Offering) -> bool:
    """Say whether nobody knows if anything still runs there and costs (S2)."""
    facts = seen.jobs.get(offering.cluster)
    if facts is None:
        return not isinstance(seen.observation.fleet, Known) or offering.region in seen.observation.unlisted
    return not isinstance(facts, Known)


def _changed(batch: BatchSpec, memory: BatchMemory) -> BatchDecision:
    what = "parameters, output, pictures or shardSize were changed on the way; undo that, or create another GPUBatch"
    condition = Condition("Accepted", "False", Reason.SPEC_REJECTED.value, what)
    told = tuple(c for c in _conditions(batch, memory, NOBODY, {}) if c.type != "Accepted")
    return BatchDecision((), memory, (condition, *told), feasible=False)


def _conditions(
    batch: BatchSpec,
    memory: BatchMemory,
    counts: Counts,
    histogram: Mapping[str, int],
    waits: str = "",
    *,
    stuck: str = "",
) -> tuple[Condition, ...]:
    over, left = memory.phase.over, len(remaining(batch, memory))
    accepted = Condition("Accepted", "True", Reason.SPEC_ACCEPTED.value, "the GPUBatch is acted on")
    if over:
        good = memory.phase is BatchPhase.SUCCEEDED
        complete = Condition("Complete", str(good), memory.reason, memory.message)
        quiet = Condition("Progressing", "False", memory.reason, waits or "nothing more is rendered")
        return accepted, complete, quiet
    complete = Condition("Complete", "False", Reason.RENDERING.value, f"{left} of {batch.shards} shards are left")
    if batch.paused:
        paused = Condition("Progressing", "False", Reason.SERVICE_PAUSED.value, "spec.paused is true")
        return accepted, complete, paused
    return accepted, complete, _progressing(batch, counts, histogram, stuck)


def _progressing(batch: BatchSpec, counts: Counts, histogram: Mapping[str, int], stuck: str) -> Condition:
    refused = ", ".join(f"{count} {reason}" for reason, count in histogram.items())
    tail = f"; refused: {refused}" if refused and counts.serving < counts.wanted else ""
    text = f"{counts.serving} of {counts.wanted} workers render{tail}{stuck}"
    if batch.deleting:
        return Condition("Progressing", "False", Reason.SERVICE_DELETING.value, "the batch is being deleted")
    if counts.serving:
        return Condition("Progressing", "True", Reason.RENDERING.value, text)
    if counts.warming:
        return Condition("Progressing", "True", Reason.WARMING_UP.value, f"{text}; {counts.warming} start")
    if counts.hunting:
        return Condition("Progressing", "True", Reason.HUNTING_FOR_GPUS.value, text)
    return Condition("Progressing", "False", Reason.NOTHING_FEASIBLE.value, text)
