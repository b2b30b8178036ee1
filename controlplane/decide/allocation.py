"""How many replicas go where: what is missing is hunted for, what is too much is given back.

Both walk the same ranking. A replica is given back from the worst-ranked placement, the newest first among equals, and
one that serves only when as many others as are wanted serve without it and have proven steady. A worst-ranked replica
that cannot go yet is waited for: giving back a better one instead would undo a move half way.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.decide.candidates import Candidate
from controlplane.decide.filters import Context, refusals
from controlplane.decide.quotas import quota_room
from controlplane.decide.scoring import STEADINESS, ScoringContext, spread, standing, terms
from controlplane.decide.world import Holding, World, outdated
from controlplane.model.memory import Phase
from controlplane.model.reasons import Reason
from controlplane.model.service import ServiceSpec


@dataclass(frozen=True, slots=True)
class Pick:
    """An attempt to begin: so many replicas more from this candidate, and why."""

    candidate: Candidate
    replicas: int
    reason: Reason = Reason.BEST_SCORE


def in_region(holdings: tuple[Holding, ...]) -> dict[str, int]:
    """Count the replicas that cover what is wanted, by region."""
    counts: dict[str, int] = {}
    for holding in holdings:
        counts[holding.region] = counts.get(holding.region, 0) + holding.cover
    return counts


def cover(world: World) -> int:
    """Count the replicas that cover what is wanted."""
    return sum(h.cover for h in world.holdings)


def reclaim(world: World, need: int) -> World:
    """Take back placements that are draining but still ready, when replicas are missing: nothing is quicker."""
    holdings = list(world.holdings)
    for index, holding in sorted(enumerate(holdings), key=lambda item: (-item[1].ready, item[1].key)):
        if (
            need > 0
            and holding.draining
            and holding.permitted
            and not holding.leaving
            and holding.visible
            and holding.ready > 0
        ):
            holdings[index] = replace(
                holding,
                draining=False,
                phase=Phase.SERVING if holding.serving else Phase.WARMING,
                serving_since=holding.serving_since if holding.serving else None,
                unwired_at=None,
                reason="taken back: replicas are missing",
            )
            need -= holdings[index].cover
    return world.swap(tuple(holdings))


def hunt(context: Context, candidates: tuple[Candidate, ...], need: int) -> tuple[Pick, ...]:
    """Choose where to try, one replica after the other, each time the best that still has room.

    A lesser GPU or capacity type is not tried while a better one is about to answer: its first success opens its
    budget, and what is obtained meanwhile would only have to be moved later.
    """
    counts = Counter(context.in_region)
    open_now = [c for c in candidates if may_try(context, c)]
    answering = [c for c in candidates if answers_soon(context, c)]
    scores = {c.key: _score_without_spread(context, c) for c in open_now}
    picks: Counter[str] = Counter()
    budget = context.budget
    while need > 0:
        scene = replace(context, in_region=dict(counts), budget=budget)
        possible = [c for c in open_now if has_room(scene, c, picks[c.key])]
        possible = spreading(context.spec, possible, counts, need)
        best = min(possible, key=lambda c: (scores[c.key] + _spread(counts, c, context.now), c.key), default=None)
        spent = [c for c in open_now if picks[c.key] >= c.past.budget and not c.past.failures]
        if best is None or any(_tier(c) < _tier(best) and has_room(scene, c, 0) for c in (*answering, *spent)):
            break
        picks[best.key] += 1
        counts[best.region] += 1
        budget = None if budget is None else budget - (best.price or 0.0)
        need -= 1
    return tuple(Pick(c, picks[c.key]) for c in open_now if picks[c.key])


def may_try(context: Context, candidate: Candidate) -> bool:
    held = candidate.holding
    if held is not None and (held.attempt is not None or held.hunting or not held.kept or held.impaired):
        return False
    if held is not None and held.scheduled and outdated(context.spec, held):
        return False  # asking for more would roll it as well, out of turn
    return not refusals(context, candidate)


def answers_soon(context: Context, candidate: Candidate) -> bool:
    """Tell whether an attempt there is young and the first in a row, so that its answer is worth waiting for."""
    held = candidate.holding
    if held is None or held.attempt is None or held.yielding or not held.kept or candidate.past.failures:
        return False
    young = context.now - held.attempt.started_at < context.spec.timing.attempt_deadline / 3
    return young and not refusals(context, candidate)


def _tier(candidate: Candidate) -> tuple[int, int]:
    return candidate.accelerator_rank, candidate.capacity_rank


def _score_without_spread(context: Context, candidate: Candidate) -> float:
    return sum(terms(replace(context, in_region={}).scoring, candidate).values())


def _spread(counts: Mapping[str, int], candidate: Candidate, now: datetime) -> float:
    return spread(ScoringContext(counts, now), candidate)


def has_room(context: Context, candidate: Candidate, taken: int) -> bool:
    count = candidate.offering.accelerator.count
    room = quota_room(context.observation, candidate)
    most = context.most_in(candidate.region)
    return (
        taken < candidate.past.budget
        and (room is None or room[1].free >= count * (taken + 1))
        and (most is None or context.in_region.get(candidate.region, 0) < most)
        and (context.budget is None or (candidate.price or 0.0) <= context.budget + 1e-9)
    )


def spreading(spec: ServiceSpec, possible: list[Candidate], counts: Mapping[str, int], need: int) -> list[Candidate]:
    """Keep to new regions while the least number of regions calls for it, if there are any to be had."""
    used = {region for region, count in counts.items() if count > 0}
    if need > spec.spread.min_regions - len(used):
        return possible
    fresh = [c for c in possible if c.region not in used]
    return fresh or possible


def in_excess(spec: ServiceSpec, counts: Mapping[str, int], region: str) -> bool:
    """Tell whether a region holds more replicas than the user wants in one region."""
    most = spec.spread.max_replicas_per_region
    return most is not None and counts.get(region, 0) > most


def regions_missing(spec: ServiceSpec, counts: Mapping[str, int]) -> int:
    """Give how many regions are lacking of the least number of regions."""
    used = sum(count > 0 for count in counts.values())
    return max(0, min(spec.spread.min_regions, spec.replicas) - used)


def essential(spec: ServiceSpec, counts: Mapping[str, int], holding: Holding) -> bool:
    """Tell whether the least number of regions would be missed without this placement's last replica."""
    used = sum(count > 0 for count in counts.values())
    alone = counts.get(holding.region, 0) <= 1
    return alone and used <= min(spec.spread.min_regions, spec.replicas)


def worst_first(
    spec: ServiceSpec, holdings: tuple[Holding, ...], candidates: Mapping[str, Candidate], now: datetime
) -> tuple[Holding, ...]:
    """Rank kept placements by how gladly they are given back."""
    scene, counts = ScoringContext({}, now), in_region(holdings)

    def rank(holding: Holding) -> tuple[bool, bool, float, float, str]:
        steady = STEADINESS if holding.serving else 0.0
        return (
            essential(spec, counts, holding),
            not in_excess(spec, counts, holding.region),
            steady - standing(scene, candidates[holding.key]),
            -(holding.serving_since or holding.since).timestamp(),
            holding.key,
        )

    kept = [h for h in holdings if h.cover]
    return tuple(sorted(kept, key=rank))


def proven(spec: ServiceSpec, world: World, leaving: Holding, now: datetime) -> int:
    """Count replicas elsewhere that serve for sure: seen, healthy, and steady for long or for longer than this one."""
    window = spec.timing.stabilisation_window

    def steady(holding: Holding) -> bool:
        if holding.serving_since is None:
            return False
        older = leaving.serving_since is not None and holding.serving_since <= leaving.serving_since
        return older or now - holding.serving_since >= window

    if world.health is None:
        return 0
    return sum(h.serving for h in world.holdings if h.key != leaving.key and h.visible and h.kept and steady(h))


def give_back(
    spec: ServiceSpec,
    world: World,
    candidates: Mapping[str, Candidate],
    goal: int,
    now: datetime,
    *,
    resting: frozenset[str],
) -> World:
    """Give back what is too much: everything that only hunts, but GPUs that are held from one placement a pass.

    `resting`: regions that were left as often as they may be left in an hour.
    """
    surplus = sum(h.cover for h in world.holdings) - goal
    if surplus <= 0:
        return world
    for holding in worst_first(spec, world.holdings, candidates, now):
        if surplus <= 0 or not holding.visible:
            break
        pending = 0 if holding.yielding else min(surplus, holding.hunting)
        if pending:
            world = _changed(world, withdrawn(holding, pending))
            surplus -= pending
            if surplus <= 0 or holding.scheduled:
                break
            continue
        if not holding.warming and holding.region in resting:
            break
        leaving = min(surplus, dispensable(spec, world, holding, goal, now))
        return _changed(world, reduced(holding, leaving, now)) if leaving > 0 else world
    return world


def dispensable(spec: ServiceSpec, world: World, holding: Holding, goal: int, now: datetime) -> int:
    """Give how many GPUs of a placement may go: what warms when enough have theirs, what serves when enough serve."""
    if holding.warming:
        if world.ingress is None and holding.ready:
            return 0  # nobody can tell whether it serves
        obtained = sum(h.serving + h.warming for h in world.holdings if h.kept and h.visible)
        return min(holding.warming, obtained - goal)
    return min(holding.serving, proven(spec, world, holding, now) + holding.serving - goal)


def give_back_yielding(world: World, goal: int) -> World:
    """Withdraw what waits where GPUs were just lost, once enough is under way elsewhere."""
    if sum(h.cover for h in world.holdings) < goal:
        return world
    return world.swap(
        tuple(withdrawn(h, h.hunting) if h.yielding and h.visible and h.kept else h for h in world.holdings)
    )


def give_back_impaired(world: World, goal: int, *, cramped: bool) -> World:
    """Give back GPUs on which the app is not well, the newest first, as others come to serve.

    As long as too few serve, as many impaired ones are kept: the app may recover, and a GPU held is hard to get again.
    `cramped` says that the cost cap leaves no room to try elsewhere, so one has to go first.
    """
    serving = sum(h.serving for h in world.holdings if h.kept and not h.lost)
    impaired = [h for h in world.holdings if h.impaired and h.visible and h.kept]
    excess = sum(h.impaired for h in impaired) - max(0, goal - serving)
    if cramped and impaired:
        excess = max(excess, 1)
    for holding in sorted(impaired, key=lambda h: (-h.since.timestamp(), h.key)):
        if excess > 0:
            leaving = min(excess, holding.impaired)
            rest = replace(
                holding,
                target=holding.target - leaving,
                scheduled=holding.scheduled - leaving,
                impaired=holding.impaired - leaving,
                reason="the app is not well there",
            )
            return _changed(world, rest)
    return world


def withdrawn(holding: Holding, pending: int) -> Holding:
    return replace(holding, target=holding.target - pending, attempt=None, reason="its attempt is not needed any more")


def reduced(holding: Holding, leaving: int, now: datetime) -> Holding:
    reason = "more replicas than wanted, and others rank better"
    if leaving < holding.target or not holding.serving:
        return replace(holding, target=holding.target - leaving, attempt=None, reason=reason)
    return replace(holding, draining=True, since=now, unwired_at=None, reason=reason)


def _changed(world: World, holding: Holding) -> World:
    return world.swap(tuple(holding if h.key == holding.key else h for h in world.holdings))
