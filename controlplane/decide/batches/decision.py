"""One decision for one batch: fold in what is done, end what is over, and hunt for workers for the rest. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from controlplane.decide.batches.as_service import Ahead, Jobs, as_observation, as_service, restored, yielding
from controlplane.decide.batches.progress import advance, affordable_rate, asked_of, ended, remaining
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
from controlplane.model.reasons import Reason

NOBODY = Counts(0, 0, 0, 0, 0, 0.0, (), ())


@dataclass(frozen=True, slots=True)
class Seen:
    """What one pass saw for one batch. `jobs`: its Jobs by member cluster; `ahead`: what services want first."""

    observation: Observation
    jobs: Jobs
    now: datetime
    ahead: Ahead = field(default_factory=Ahead)

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
    if memory.asked and memory.asked != asked_of(batch) and not batch.deleting:
        return _changed(batch, memory)
    known = ended(batch, advance(batch, memory, seen.all_jobs, seen.now), seen.now)
    if batch.deleting or known.phase.over:
        return _take_down(batch, seen, known)
    if batch.paused:
        return BatchDecision((), memory, _conditions(batch, memory, NOBODY, {}))
    return _hunt(batch, seen, known)


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
        conditions=_conditions(batch, memory, counts, decision.histogram),
        counts=counts,
        verdicts=decision.verdicts,
        suppressed=tuple(s for s in decision.suppressed if isinstance(s.action, _MEANT)),
        feasible=decision.feasible or bool(spent),
    )


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
            case ApplyPlacement(offering=offering, replicas=workers, resource_version=None):
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
    running = sum(pod.scheduled for job in seen.all_jobs for pod in job.workload.live_pods)
    return BatchDecision(
        plan=(*deletions, *release),
        memory=memory if running else replace(memory, rate=0.0),
        conditions=_conditions(batch, memory, NOBODY, {}, waits),
        waits_for=waits,
    )


def _changed(batch: BatchSpec, memory: BatchMemory) -> BatchDecision:
    what = "parameters, output, pictures or shardSize were changed on the way; undo that, or create another GPUBatch"
    condition = Condition("Accepted", "False", Reason.SPEC_REJECTED.value, what)
    told = tuple(c for c in _conditions(batch, memory, NOBODY, {}) if c.type != "Accepted")
    return BatchDecision((), memory, (condition, *told), feasible=False)


def _conditions(
    batch: BatchSpec, memory: BatchMemory, counts: Counts, histogram: Mapping[str, int], waits: str = ""
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
    return accepted, complete, _progressing(batch, counts, histogram)


def _progressing(batch: BatchSpec, counts: Counts, histogram: Mapping[str, int]) -> Condition:
    refused = ", ".join(f"{count} {reason}" for reason, count in histogram.items())
    tail = f"; refused: {refused}" if refused and counts.serving < counts.wanted else ""
    text = f"{counts.serving} of {counts.wanted} workers render{tail}"
    if batch.deleting:
        return Condition("Progressing", "False", Reason.SERVICE_DELETING.value, "the batch is being deleted")
    if counts.serving:
        return Condition("Progressing", "True", Reason.RENDERING.value, text)
    if counts.warming:
        return Condition("Progressing", "True", Reason.WARMING_UP.value, f"{text}; {counts.warming} start")
    if counts.hunting:
        return Condition("Progressing", "True", Reason.HUNTING_FOR_GPUS.value, text)
    return Condition("Progressing", "False", Reason.NOTHING_FEASIBLE.value, text)
