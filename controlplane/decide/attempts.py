"""Attempts are judged by what is observed, never by what was sent.

An attempt is obtained when all its Pods are scheduled, refused when a refusal that belongs to it is seen, timed out
when its deadline passes. A cluster that cannot be read leaves its attempts open. Pods that wait without an attempt on
record (a preempted Pod's successor, a scale-up by another hand) are an attempt all the same, begun when they were
created.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.decide import capacity, learning
from controlplane.decide.world import Holding, World
from controlplane.model.memory import Attempt, Memory, OfferingMemory, Outcome
from controlplane.model.observation import Observation, PodFact, Refusal
from controlplane.model.offering import Capacity, Offering, RefusalClass
from controlplane.model.service import ServiceSpec

PRECEDENCE = tuple(RefusalClass)
NOTHING_LEARNT = OfferingMemory()


@dataclass(frozen=True, slots=True)
class Judged:
    """The world, the attempts and the offerings' memory after this pass's news."""

    world: World
    attempts: tuple[Attempt, ...]
    offerings: Mapping[str, OfferingMemory]


def judge(spec: ServiceSpec, observation: Observation, memory: Memory, world: World, now: datetime) -> Judged:
    """Judge every open attempt; open one for Pods that wait without; learn from both."""
    offerings = dict(memory.offerings)
    attempts = list(memory.attempts)
    holdings: list[Holding] = []
    before = {p.offering: p.obtained for p in memory.placements}
    for holding in world.holdings:
        key = holding.key
        if _newly_lost(holding, offerings.get(key, NOTHING_LEARNT), before.get(holding.offering, 0)):
            offerings[key] = capacity.lost(offerings.get(key, NOTHING_LEARNT), now, rest=holding.scheduled > 0)
        known = offerings.get(key, NOTHING_LEARNT)
        if holding.attempt is None and _waits_unasked(holding):
            if capacity.cooling(known, now) or known.blocked_generation == spec.generation:
                holdings.append(replace(holding, target=holding.scheduled))
                continue
            attempt = _implied(spec, holding, now)
            attempts.append(attempt)
            holding = replace(holding, attempt=attempt)  # noqa: PLW2901 - the same holding, completed
        judged = _outcome(observation, holding, now)
        if judged and judged is not holding.attempt:
            attempts[attempts.index(holding.attempt)] = judged  # type: ignore[arg-type]
            offerings[key] = _learn(spec, known, judged, now)
            target = holding.target if judged.outcome is Outcome.OBTAINED else holding.scheduled
            holding = replace(holding, attempt=None, target=target)  # noqa: PLW2901 - the same holding, judged
        yields = holding.hunting > 0 and capacity.lately_lost(spec, offerings.get(key, NOTHING_LEARNT), now)
        holdings.append(holding if yields == holding.yielding else replace(holding, yielding=yields))
    attempts = _close_orphans(attempts, holdings, world, now)
    _note_leavings(offerings, holdings, world, now)
    return Judged(world.swap(tuple(holdings)), tuple(attempts), offerings)


def note_refusal(
    spec: ServiceSpec, memory: Memory, offering: Offering, *, refusal: RefusalClass, message: str, now: datetime
) -> Memory:
    """Take down that an API server refused the write of an attempt; called by the engine after acting."""
    known = memory.offerings.get(offering.key, NOTHING_LEARNT)
    ended = tuple(
        replace(a, outcome=Outcome.REFUSED, ended_at=now, refusal=refusal, message=message)
        if a.offering == offering and a.outcome is Outcome.OPEN
        else a
        for a in memory.attempts
    )
    learnt = {**memory.offerings, offering.key: capacity.refused(spec, known, refusal, message, now)}
    return replace(memory, attempts=ended, offerings=learnt)


def _newly_lost(holding: Holding, known: OfferingMemory, before: int) -> bool:
    """Tell whether GPUs were taken away since the last time: a Pod says so, or a successor waits in its place.

    A preempted Pod goes with its node and may be gone before anyone looks; `before` is how many had their GPUs then.
    """
    pods = holding.workload.pods if holding.workload else ()
    since = known.last_lost_at
    if any(p.preempted and (since is None or (p.lost_at or p.created_at) > since) for p in pods):
        return True
    spot = holding.offering.capacity is Capacity.SPOT
    return spot and holding.visible and holding.scheduled < before <= holding.target and not holding.draining


def _waits_unasked(holding: Holding) -> bool:
    return holding.visible and holding.workload is not None and holding.hunting > 0 and not holding.draining


def _implied(spec: ServiceSpec, holding: Holding, now: datetime) -> Attempt:
    waiting = [p.created_at for p in _waiting(holding)]
    started = min(min(waiting, default=now), now)
    return Attempt(holding.offering, started, started + spec.timing.attempt_deadline, holding.hunting)


def _waiting(holding: Holding) -> list[PodFact]:
    return [p for p in holding.workload.live_pods if not p.scheduled] if holding.workload else []


def _outcome(observation: Observation, holding: Holding, now: datetime) -> Attempt | None:
    attempt = holding.attempt
    if attempt is None or not holding.visible:
        return attempt
    if holding.workload and holding.target > 0 and holding.scheduled >= holding.target:
        return replace(attempt, outcome=Outcome.OBTAINED, ended_at=now)
    refusal = _refusal(observation, holding, attempt)
    if refusal:
        return replace(attempt, outcome=Outcome.REFUSED, ended_at=now, refusal=refusal.refusal, message=refusal.message)
    if now >= attempt.deadline:
        waited = int((now - attempt.started_at).total_seconds() // 60)
        return replace(
            attempt,
            outcome=Outcome.TIMED_OUT,
            ended_at=now,
            refusal=RefusalClass.PROVISIONING_TIMEOUT,
            message=f"no GPU within {waited} min",
        )
    return attempt


def _refusal(observation: Observation, holding: Holding, attempt: Attempt) -> Refusal | None:
    """Give the newest refusal that belongs to the attempt, unless it leaves zones that may still have stock."""
    workload = holding.workload
    if workload is None:
        return None
    waiting = {p.uid for p in _waiting(holding)}
    first = attempt.started_at
    if holding.scheduled == 0 and workload.created_at is not None:
        first = min(first, workload.created_at)  # a clock that runs apart from ours must not hide the answer
    own = [r for r in workload.refusals if (r.pod_uid in waiting if r.pod_uid else r.at >= first)]
    telling = [r for r in own if r.refusal is not RefusalClass.BACKING_OFF and r.refusal is not RefusalClass.PREEMPTED]
    if not telling:
        silent = [r for r in own if r.refusal is RefusalClass.BACKING_OFF]
        return max(silent, key=lambda r: r.at, default=None)
    newest = max(telling, key=lambda r: (r.at, -PRECEDENCE.index(r.refusal), r.message))
    if newest.refusal is RefusalClass.STOCK_OUT and _zones_left(observation, holding, telling):
        return None
    return newest


def _zones_left(observation: Observation, holding: Holding, refusals: list[Refusal]) -> bool:
    """Tell whether the stock-outs seen name some of the zones that offer the GPU, but not all."""
    signals = observation.signals.get(holding.region)
    offered = signals.zones.get(holding.offering.accelerator.type) if signals else None
    stock_outs = [r for r in refusals if r.refusal is RefusalClass.STOCK_OUT]
    if not offered or any(not r.zones for r in stock_outs):
        return False
    return bool(offered - {zone for r in stock_outs for zone in r.zones})


def _learn(spec: ServiceSpec, known: OfferingMemory, judged: Attempt, now: datetime) -> OfferingMemory:
    if judged.outcome is Outcome.OBTAINED:
        return capacity.obtained(known, judged.started_at, now)
    return capacity.refused(spec, known, judged.refusal or RefusalClass.UNCLASSIFIED, judged.message, now)


def _note_leavings(offerings: dict[str, OfferingMemory], holdings: list[Holding], world: World, now: datetime) -> None:
    """Learn where nothing is held any more: its time of being held is over, and tells what it tells."""
    held = {h.key for h in holdings if h.scheduled or not h.visible}
    links = {c.link for c in world.visible} | world.gone
    for key, past in offerings.items():
        if past.held_since is not None and key not in held and key.partition(":")[0] in links:
            offerings[key] = learning.left(past, now)


def _close_orphans(attempts: list[Attempt], holdings: list[Holding], world: World, now: datetime) -> list[Attempt]:
    """End attempts whose placement is gone from a cluster that was read, or whose cluster is gone."""
    standing, still_open = {h.offering for h in holdings}, Outcome.OPEN

    def close(attempt: Attempt) -> Attempt:
        if attempt.outcome is not still_open or attempt.offering in standing:
            return attempt
        if attempt.offering.cluster not in world.visible and attempt.offering.cluster.link not in world.gone:
            return attempt
        return replace(attempt, outcome=Outcome.WITHDRAWN, ended_at=now, message="its placement is gone")

    return [close(a) for a in attempts]
