"""What is moved when all is quiet: one replica at a time, to where the whole is cheaper, or to a preferred GPU type."""

from dataclasses import replace
from datetime import datetime

from controlplane.decide.allocation import Pick, essential, has_room, may_try
from controlplane.decide.candidates import Candidate
from controlplane.decide.failback import MOVES_AN_HOUR, Return, mends_spread, moves_of, settled
from controlplane.decide.filters import Context
from controlplane.decide.portfolio import Portfolio
from controlplane.decide.valued.giving import surplus
from controlplane.decide.valued.stand import Stand
from controlplane.decide.world import Holding
from controlplane.model.memory import Memory
from controlplane.model.reasons import Reason

MOVING = 0.25
"""What a move must save, in the price of what is left."""

MENDING = 1000
"""Steps up that mending the spread is worth."""


def consider(stand: Stand, memory: Memory, whole_since: datetime | None) -> Return:
    """Decide whether to move one replica to where the whole is cheaper, or to a preferred GPU type."""
    context, now = stand.context, stand.context.now
    whole, spec = stand.whole, stand.context.spec
    calm = whole_since is not None and now - whole_since >= spec.timing.stabilisation_window
    counts = context.in_region
    passing = [h for h in stand.kept if stand.bridges(h)]
    if stand.asked() or surplus(stand) or not all(essential(spec, counts, h) for h in passing):
        return Return()
    best: tuple[tuple[int, float, str], Candidate, Holding] | None = None
    for holding in stand.kept:
        own = stand.by_key[holding.key]
        if not holding.serving:
            continue
        without = whole.with_more(holding.key, -1)
        mends = mends_spread(replace(context, in_region=stand.aims_in_region), holding)
        bound = essential(spec, counts, holding)
        room = _without(context, holding)
        bar = whole.cost() - MOVING * stand.lines[holding.key].price
        for candidate in stand.candidates:
            if bound and candidate.region != holding.region and counts.get(candidate.region):
                continue
            gain = _gain(stand, without, own, candidate, mends=mends(candidate))
            if gain is None or (gain[0] == 0 and gain[1] >= bar):
                continue
            rank = (*gain, candidate.key)
            if (best is None or rank < best[0]) and may_try(room, candidate):
                best = (rank, candidate, holding)
    if best is None:
        return Return()
    _, candidate, leaving = best
    if any(moves_of(memory, region, now) >= MOVES_AN_HOUR for region in (leaving.region, candidate.region)):
        return Return(obstacle=Reason.MOVE_LIMIT, message=f"{leaving.region} was left twice within the hour")
    if not calm or not settled(context, leaving, whole_since):
        return Return(
            obstacle=Reason.MOVING, message="waits until the service has been whole and quiet for long enough"
        )
    if not has_room(_without(context, leaving), candidate, 0):
        return Return()
    return Return(Pick(candidate, 1, Reason.FAILBACK_PROBE))


def _without(context: Context, leaving: Holding) -> Context:
    """Give the room there will be: inside a region what comes takes the place of what goes."""
    counts = context.in_region
    return replace(context, in_region={**counts, leaving.region: counts.get(leaving.region, 0) - 1})


def _gain(
    stand: Stand, without: Portfolio, own: Candidate, other: Candidate, *, mends: bool
) -> tuple[int, float] | None:
    """Give (steps up in the user's order of accelerators, the cost then); None where it is no move.

    What mends the spread that the user asked for comes before any step up. A spare takes none, for it is held where it
    is worth its price.
    """
    if other.key == own.key or not stand.is_aim(other):
        return None
    if other.accelerator_rank > own.accelerator_rank and not mends:
        return None
    held = other.holding
    if held is not None and (held.attempt or not held.kept or held.impaired):
        return None
    enough = stand.of_types_before(own.accelerator_rank) >= stand.terms.wanted
    steps = 0 if enough else other.accelerator_rank - own.accelerator_rank
    return steps - MENDING if mends else steps, without.cost_with(other.key)
