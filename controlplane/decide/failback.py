"""Going back to what is preferred: once, after things have been quiet, and never by letting go first.

While the service is whole, one attempt at a time probes a better-ranked offering whose cool-down is over. When the
probe serves and has proven steady, the ordinary give-back drains the lesser one. Both count against the cost cap in the
meantime; a cap that has no room for both holds the service where it is, and the condition says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controlplane.decide.allocation import Pick, essential, in_excess, regions_missing, worst_first
from controlplane.decide.candidates import Candidate
from controlplane.decide.filters import Context, refusals
from controlplane.decide.quotas import quota_room
from controlplane.decide.scoring import ACCELERATOR, CAPACITY, STEADINESS, ScoringContext, failures, standing
from controlplane.decide.world import Holding
from controlplane.model.memory import Memory
from controlplane.model.reasons import Reason

MOVES_AN_HOUR = 2
HOUR = timedelta(hours=1)
TIER = 100.0


@dataclass(frozen=True, slots=True)
class Return:
    """The probe to begin, or what keeps the service from what it prefers (for the condition)."""

    pick: Pick | None = None
    obstacle: Reason | None = None
    message: str = ""


def moves_of(memory: Memory, region: str, now: datetime) -> int:
    """Count the moves out of a region in the last hour."""
    return sum(m.region == region and now - m.at < HOUR for m in memory.moves)


def resting(memory: Memory, now: datetime) -> frozenset[str]:
    """Give the regions that were left as often as they may be left in an hour (L5)."""
    return frozenset(m.region for m in memory.moves if moves_of(memory, m.region, now) >= MOVES_AN_HOUR)


def consider(
    context: Context,
    memory: Memory,
    candidates: tuple[Candidate, ...],
    whole_since: datetime | None,
    *,
    quiet: bool,
) -> Return:
    """Decide whether to probe a better offering now. `quiet`: nothing else is under way."""
    by_key = {c.key: c for c in candidates}
    ranked = worst_first(context.spec, context.world.holdings, by_key, context.now)
    if not ranked:
        return Return()
    leaving = ranked[0]
    without = {**context.in_region, leaving.region: context.in_region.get(leaving.region, 0) - 1}
    room = replace(context, in_region=without)  # inside a region the better one takes the place of the lesser one
    better = _better(context, candidates, by_key[leaving.key], leaving)
    if not better:
        return Return()
    free = [c for c in better if not refusals(room, c)]
    if not free:
        first = refusals(room, better[0])[0]
        return Return(obstacle=first.reason, message=f"{better[0].offering}: {first.message}")
    if moves_of(memory, leaving.region, context.now) >= MOVES_AN_HOUR:
        return Return(obstacle=Reason.MOVE_LIMIT, message=f"{leaving.region} was left twice within the hour")
    if not quiet or not settled(context, leaving, whole_since):
        return Return(
            obstacle=Reason.MOVING, message="waits until the service has been whole and quiet for long enough"
        )
    still = [c for c in free if moves_of(memory, c.region, context.now) < MOVES_AN_HOUR]
    if not still:
        return Return(obstacle=Reason.MOVE_LIMIT, message=f"{free[0].region} was left twice within the hour")
    return Return(Pick(still[0], _size(room, still[0], leaving), Reason.FAILBACK_PROBE))


def _better(context: Context, candidates: tuple[Candidate, ...], held: Candidate, leaving: Holding) -> list[Candidate]:
    """Give the offerings that rank better than the worst one held by more than the hysteresis, best first."""
    scene = ScoringContext({}, context.now)
    counts = {**context.in_region, leaving.region: context.in_region.get(leaving.region, 0) - 1}
    bar = standing(scene, held) - STEADINESS
    mends = mends_spread(context, leaving)
    bound = essential(context.spec, context.in_region, leaving)
    found: list[tuple[float, str, Candidate]] = []
    for candidate in candidates:
        least = ACCELERATOR * candidate.accelerator_rank + CAPACITY * candidate.capacity_rank
        if least >= bar and not mends(candidate):
            continue  # what the user prefers less is no better at any price
        if candidate.key == held.key or not context.spec.regions.permits(candidate.region):
            continue
        if bound and candidate.region != leaving.region and counts.get(candidate.region, 0) > 0:
            continue  # there it would make up for the replica, but not for the region
        if candidate.holding and (
            candidate.holding.attempt or not candidate.holding.kept or candidate.holding.impaired
        ):
            continue
        score = standing(scene, candidate) + failures(scene, candidate)
        gain = bar - score
        no_crowding = counts.get(candidate.region, 0) <= counts[leaving.region] or gain >= TIER - STEADINESS
        if mends(candidate) or (gain > 0 and no_crowding):
            found.append((score, candidate.key, candidate))
    return [candidate for _, _, candidate in sorted(found, key=lambda item: item[:2])]


def mends_spread(context: Context, leaving: Holding) -> Callable[[Candidate], bool]:
    """Give what tells whether a move there mends the spread that the user asked for."""
    counts, spec = context.in_region, context.spec
    crowded = counts.get(leaving.region, 0) > 1 and regions_missing(spec, counts) > 0
    excess = in_excess(spec, counts, leaving.region)

    def mends(candidate: Candidate) -> bool:
        if candidate.region == leaving.region:
            return False
        return excess or (crowded and not counts.get(candidate.region, 0))

    return mends


def settled(context: Context, leaving: Holding, whole_since: datetime | None) -> bool:
    timing = context.spec.timing
    if whole_since is None or leaving.serving_since is None:
        return False
    calm = context.now - whole_since >= timing.stabilisation_window
    return calm and context.now - leaving.serving_since >= timing.min_dwell


def _size(context: Context, candidate: Candidate, leaving: Holding) -> int:
    """Probe with no more replicas than are to leave, and than every budget allows."""
    size = min(candidate.past.budget, leaving.serving)
    counts = context.in_region
    if regions_missing(context.spec, counts) > 0 and not counts.get(candidate.region, 0):
        size = 1  # one makes the region count; more would be surplus, and be given back where they are dearer
    most = context.most_in(candidate.region)
    if most is not None:
        size = min(size, most - context.in_region.get(candidate.region, 0))
    if context.budget is not None and candidate.price:
        size = min(size, int((context.budget + 1e-9) / candidate.price))
    room = quota_room(context.observation, candidate)
    if room is not None:
        size = min(size, int(room[1].free // candidate.offering.accelerator.count))
    return max(1, size)
