"""The look: memory and observation brought together into a `World`, one `Holding` per placement.

The cluster's own word outranks memory wherever the cluster could be read. Where it could not, memory stands in: for a
grace period as if nothing had happened, after that as "lost", which calls for replacements but permits no deletion.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from controlplane.decide.world import NEVER, Holding, World, with_health
from controlplane.model.facts import Known, Unknown
from controlplane.model.memory import Attempt, Memory, Outcome, Phase, PlacementMemory
from controlplane.model.observation import Member, Observation, PodFact, WorkloadFact
from controlplane.model.offering import ClusterRef, Offering
from controlplane.model.service import ServiceSpec

GONE_AFTER = timedelta(hours=1)
STALE_AFTER = timedelta(minutes=5)


def look(spec: ServiceSpec, observation: Observation, memory: Memory, now: datetime) -> World:
    """Bring memory and observation together."""
    remembered = _remembered(memory)
    infos = {i.ref: i for i in observation.fleet.value} if isinstance(observation.fleet, Known) else {}
    everywhere = {*infos, *observation.members, *(o.cluster for o in remembered)}
    clusters = tuple(sorted(everywhere, key=_place))
    readable = [c for c in clusters if _readable(observation.members.get(c), now)]
    visible, workloads = frozenset(readable), _workloads(observation, readable)
    dark = [c for c in clusters if c not in visible]
    # anchored in memory, so that the grace neither restarts with the process nor never ends
    unknown_since = {c.link: min(memory.unknown_since.get(c.link, now), now) for c in dark}
    ingress = observation.ingress.value if isinstance(observation.ingress, Known) else None
    health = ingress.healthy.value if ingress and isinstance(ingress.healthy, Known) else None
    whole_fleet = isinstance(observation.fleet, Known) and not observation.unlisted
    unknown = [c for c in dark if c not in infos or infos[c].usable]
    leaving = frozenset(ref for ref, info in infos.items() if info.leaving)
    world = World(
        holdings=(),
        removing={w.offering.key: w for w in workloads if w.deleting},
        clusters=clusters,
        visible=visible,
        unusable=leaving
        | {c for c in clusters if (c in infos and not infos[c].usable) or (whole_fleet and c not in infos)},
        gone=frozenset(
            c.link for c in dark if whole_fleet and c not in infos and now - unknown_since[c.link] >= GONE_AFTER
        ),
        unknown_links=tuple(c.link for c in unknown),
        fleet_known=isinstance(observation.fleet, Known),
        unlisted=observation.unlisted,
        majority_unknown=_majority_unknown(readable, unknown),
        ingress=ingress,
        ingress_foreign=bool(ingress and ingress.foreign),
        health=health,
        unknown_since=unknown_since,
        unknown_why={
            ref.link: member.workloads.reason.value
            for ref, member in observation.members.items()
            if isinstance(member.workloads, Unknown)
        },
        leaving=leaving,
    )
    live = {w.offering: w for w in workloads if not w.deleting}
    return world.swap(_holdings(spec, memory, world, live, now))


def _place(cluster: ClusterRef) -> tuple[str, str]:
    return cluster.location, cluster.name


def _remembered(memory: Memory) -> dict[Offering, PlacementMemory]:
    cooling = Phase.COOLING
    return {p.offering: p for p in memory.placements if p.phase is not cooling}


def _readable(member: Member | None, now: datetime) -> bool:
    """Tell whether a cluster was read, and lately: an old answer is no better than none."""
    if member is None or not isinstance(member.workloads, Known):
        return False
    return now - member.workloads.at <= STALE_AFTER


def _majority_unknown(readable: list[ClusterRef], unknown: list[ClusterRef]) -> bool:
    dark = {c.region for c in unknown}
    return 2 * len(dark) > len(dark | {c.region for c in readable})


def _workloads(observation: Observation, readable: list[ClusterRef]) -> list[WorkloadFact]:
    found: list[WorkloadFact] = []
    for cluster in readable:
        facts = observation.members[cluster].workloads
        if isinstance(facts, Known):
            found.extend(sorted(facts.value, key=lambda w: (w.offering.key, w.name)))
    return found


def _holdings(
    spec: ServiceSpec, memory: Memory, world: World, live: Mapping[Offering, WorkloadFact], now: datetime
) -> tuple[Holding, ...]:
    remembered = _remembered(memory)
    still_open = Outcome.OPEN
    attempts = {a.offering: a for a in memory.attempts if a.outcome is still_open}
    holdings: list[Holding] = []
    for offering in sorted({*live, *remembered}, key=lambda o: o.order):
        past, attempt = remembered.get(offering), attempts.get(offering)
        if offering.cluster in world.visible:
            workload = live.get(offering)
            if workload is None and (attempt is None or past is None or world.removing.get(offering.key)):
                continue
            seen = _seen(spec, offering, workload, past=past, attempt=attempt, now=now)
            holdings.append(replace(seen, leaving=True) if offering.cluster in world.leaving else seen)
        elif past and offering.cluster.link not in world.gone:
            dark = now - world.unknown_since[offering.cluster.link] >= spec.timing.unreachable_grace
            holdings.append(_unseen(spec, past, attempt, lost=dark))
    return with_health(holdings, world)


def _seen(
    spec: ServiceSpec,
    offering: Offering,
    workload: WorkloadFact | None,
    *,
    past: PlacementMemory | None,
    attempt: Attempt | None,
    now: datetime,
) -> Holding:
    grown = workload.replicas if workload and workload.autoscaler else 0
    ceiling = workload.autoscaler.maximum if workload and workload.autoscaler else 0
    workload, extra = _floored(workload)
    told = past if past and spec.autoscaling is not None and not ceiling else None
    pods = workload.live_pods if workload else ()
    target = workload.replicas if workload else 0
    if attempt and past:
        target = max(target, past.replicas)
    scheduled = min(sum(p.scheduled for p in pods), target)
    ready = min(sum(p.ready and p.scheduled for p in pods), scheduled)
    return Holding(
        offering=offering,
        workload=workload,
        visible=True,
        lost=False,
        permitted=spec.regions.permits(offering.region),
        target=target,
        scheduled=scheduled,
        ready=ready,
        serving=0,
        since=past.since if past else now,
        phase=past.phase if past else Phase.HUNTING,
        draining=bool(past and past.phase is Phase.DRAINING),
        attempt=attempt,
        serving_since=past.serving_since if past else None,
        unwired_at=past.unwired_at if past else None,
        impaired_since=past.impaired_since if past else None,
        reason=past.reason if past else "",
        rolling=bool(past and past.rolling),
        ceiling=ceiling,
        grown=grown,
        extra=sum(p.scheduled for p in extra),
        extra_ready=sum(p.ready and p.scheduled for p in extra),
        beside=extra,
        unscaled=told.unscaled if told else "",
        unscaled_at=told.unscaled_at if told else None,
    )


def _floored(workload: WorkloadFact | None) -> tuple[WorkloadFact | None, tuple[PodFact, ...]]:
    """Divide an autoscaled workload into what is wanted of it and the Pods beyond that, the ones that serve worst."""
    if workload is None or workload.autoscaler is None:
        return workload, ()
    floor = workload.autoscaler.minimum
    ranked = sorted(workload.live_pods, key=_worth)
    extra = frozenset(p.uid for p in ranked[floor:])
    wanted = tuple(p for p in workload.pods if p.uid not in extra)
    return replace(workload, replicas=floor, pods=wanted), tuple(ranked[floor:])


def _worth(pod: PodFact) -> tuple[bool, bool, bool, datetime, datetime, str]:
    return not pod.ready, not pod.scheduled, pod.preempted, pod.ready_at or NEVER, pod.created_at, pod.uid


def _unseen(spec: ServiceSpec, past: PlacementMemory, attempt: Attempt | None, *, lost: bool) -> Holding:
    held = past.replicas if past.phase in (Phase.SERVING, Phase.WARMING, Phase.DRAINING) else 0
    serving = past.replicas if past.phase is Phase.SERVING else 0
    return Holding(
        offering=past.offering,
        workload=None,
        visible=False,
        lost=lost,
        permitted=spec.regions.permits(past.offering.region),
        target=past.replicas,
        scheduled=held,
        ready=serving,
        serving=serving,
        since=past.since,
        phase=past.phase,
        draining=past.phase is Phase.DRAINING,
        attempt=attempt,
        serving_since=past.serving_since,
        unwired_at=past.unwired_at,
        impaired_since=past.impaired_since,
        reason=past.reason,
        rolling=past.rolling,
        ceiling=past.ceiling,
        unscaled=past.unscaled,
        unscaled_at=past.unscaled_at,
    )
