"""A batch as the hunt sees it: a service of workers whose address is never wired.

The hunt's filters, budgets, back-off, quotas, cost cap and guards are the same for both, so they are asked the same
question. What a batch has no use for is taken out here: every worker that is Ready counts as proven, what drains has
nothing in flight that a later Job would not render again, and nothing is moved for preference's sake alone, since a
batch ends by itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from controlplane.decide.attempts import NOTHING_LEARNT
from controlplane.model.batch import BatchSpec, JobFact
from controlplane.model.facts import Known, Unknown, UnknownReason, map_fact
from controlplane.model.memory import Memory, OfferingMemory, Outcome, Phase
from controlplane.model.observation import IngressFact, Member, Observation, WorkloadFact
from controlplane.model.offering import ClusterRef
from controlplane.model.service import Ingress, ServiceSpec
from controlplane.model.template import ingress_spec_hash, spec_template_hash

Jobs = Mapping[ClusterRef, Known[tuple[JobFact, ...]] | Unknown]
GIVES_WAY = timedelta(seconds=30)
_NEVER = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the GPUServices of this pass want, which come first.

    learnt: what they remember of offerings, by key. hunted: keys of the offerings where they ask for GPUs now.
    """

    learnt: Mapping[str, OfferingMemory] = field(default_factory=dict)
    hunted: frozenset[str] = frozenset()


def ahead_of(memories: Iterable[Memory]) -> Ahead:
    """Gather what services remember: the latest refusal of each offering, and where attempts are open."""
    learnt: dict[str, OfferingMemory] = {}
    hunted: set[str] = set()
    for memory in memories:
        hunted |= {attempt.offering.key for attempt in memory.attempts if attempt.outcome is Outcome.OPEN}
        for key, theirs in memory.offerings.items():
            if _rests_longer(theirs, learnt.get(key, NOTHING_LEARNT)):
                learnt[key] = theirs
    return Ahead(learnt, frozenset(hunted))


def as_service(batch: BatchSpec, workers: int, *, most_an_hour: float | None = None) -> ServiceSpec:
    """Give the service of so many workers."""
    return ServiceSpec(
        name=batch.name,
        namespace=batch.namespace,
        uid=batch.uid,
        generation=batch.generation,
        replicas=workers,
        accelerators=batch.accelerators,
        pod=batch.pod,
        capacity_types=batch.capacity_types,
        regions=batch.regions,
        max_hourly_cost=most_an_hour,
        timing=replace(batch.timing, stabilisation_window=_NEVER),
        ingress=Ingress(draining_seconds=0, check_interval_seconds=0),
        paused=batch.paused,
    )


def as_observation(service: ServiceSpec, observation: Observation, jobs: Jobs, memory: Memory) -> Observation:
    """Give the observation with Jobs for Deployments, and a wiring that always is as it should be."""
    members = {ref: Member(m.info, _placements(service, m, jobs.get(ref))) for ref, m in observation.members.items()}
    seen = [w for m in members.values() if isinstance(m.workloads, Known) for w in m.workloads.value]
    draining = {p.offering.key for p in memory.placements if p.phase is Phase.DRAINING}
    ready: dict[str, int] = {}
    wired: set[str] = set()
    for workload in seen:
        count = sum(pod.ready for pod in workload.live_pods)
        if count and workload.offering.key not in draining:
            ready[workload.offering.region] = ready.get(workload.offering.region, 0) + count
            wired.add(workload.offering.cluster.link)
    fact = IngressFact(
        clusters=tuple(sorted(wired)),
        address="-",
        healthy=Known(ready, observation.at),
        spec_hash=ingress_spec_hash(service),
        present=True,
    )
    return replace(observation, members=members, ingress=Known(fact, observation.at))


def yielding(memory: Memory, ahead: Ahead, now: datetime) -> Memory:
    """Give the memory with what services have learnt since, and at rest where they ask for GPUs now."""
    offerings = dict(memory.offerings)
    for key, theirs in ahead.learnt.items():
        mine = offerings.get(key, NOTHING_LEARNT)
        if theirs.not_before is not None and theirs.not_before > now and _rests_longer(theirs, mine):
            offerings[key] = replace(
                mine,
                budget=1,
                failures=max(mine.failures, theirs.failures),
                not_before=theirs.not_before,
                last_refusal=theirs.last_refusal,
                last_refused_at=theirs.last_refused_at,
                last_message=theirs.last_message,
            )
    for key in ahead.hunted:
        mine = offerings.get(key, NOTHING_LEARNT)
        if mine.not_before is None or mine.not_before < now + GIVES_WAY:
            told = "a GPUService asks there now, and comes first"
            offerings[key] = replace(mine, not_before=now + GIVES_WAY, last_message=told)
    return replace(memory, offerings=offerings)


def restored(after: Memory, before: Memory, ahead: Ahead) -> Memory:
    """Take the rest for the services' sake out of a memory again: nothing was learnt by it."""
    offerings = dict(after.offerings)
    for key in ahead.hunted & after.offerings.keys():
        mine = before.offerings.get(key)
        if mine is None:
            del offerings[key]
        else:
            offerings[key] = mine
    return replace(after, offerings=offerings)


def _placements(
    service: ServiceSpec, member: Member, facts: Known[tuple[JobFact, ...]] | Unknown | None
) -> Known[tuple[WorkloadFact, ...]] | Unknown:
    if facts is not None:
        return map_fact(facts, lambda jobs: _workloads(service, jobs))
    known = member.workloads
    return known if isinstance(known, Unknown) else Unknown(UnknownReason.NOT_ASKED, known.at)


def _workloads(service: ServiceSpec, facts: tuple[JobFact, ...]) -> tuple[WorkloadFact, ...]:
    """Give the Jobs that still have work, each with as many workers as can find some.

    A Job is never changed to another template: what it has begun it ends as it began.
    """
    return tuple(
        replace(
            job.workload,
            replicas=min(job.workload.replicas, len(job.left)),
            template_hash=spec_template_hash(service, job.offering),
        )
        for job in facts
        if job.left and not job.finished
    )


def _rests_longer(theirs: OfferingMemory, mine: OfferingMemory) -> bool:
    if theirs.not_before is None:
        return False
    return mine.not_before is None or theirs.not_before > mine.not_before
