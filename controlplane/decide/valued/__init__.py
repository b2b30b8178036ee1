"""Where replicas go when the user has said what a missing one costs (`spec.policy`): each choice is worth its money.

Four choices, each a difference of the one cost of `controlplane.decide.portfolio`:

- what is missing goes where it makes the whole cheapest, by price and by the hazard of losing it again;
- on-demand bridges what is missing now, at once and beside the Spot attempts, as long as waiting for their answer would
  cost more; it is never the aim where Spot is cheaper, so Spot is tried on beneath it;
- spares are held when what losses would cost is more than they do, and where they help most;
- what is given back, and what is moved, is what the whole gets cheapest without.

The user's order of accelerators goes before all of it. The order of capacity types breaks ties only: how dear and how
lasting each is decides.
"""

from dataclasses import replace
from datetime import timedelta

from controlplane.decide import rollout
from controlplane.decide.allocation import give_back_impaired, give_back_yielding
from controlplane.decide.case import MOST_NEW_REPLICAS, Beside, Case, Settled
from controlplane.decide.failback import Return, resting
from controlplane.decide.portfolio import Terms
from controlplane.decide.valued.asking import hunt
from controlplane.decide.valued.giving import give_back, surplus
from controlplane.decide.valued.moving import consider
from controlplane.decide.valued.offers import Offers
from controlplane.decide.valued.stand import Stand
from controlplane.decide.valued.telling import Telling
from controlplane.decide.valued.worth import recoveries_of, value_of_missing
from controlplane.decide.world import World

__all__ = ["settle"]


def settle(case: Case, world: World, goal: int) -> Settled:
    """Ask for what is worth it, give back what is not, and when neither is called for, consider a move."""
    missing = value_of_missing(case.spec, case.observation, case.candidates)
    quick, slow = (Terms(goal, missing, span / timedelta(hours=1)) for span in recoveries_of(world))
    offers = Offers(case.spec, case.candidates, case.now)
    stand = Stand(case.context(world), offers, world, quick)
    picks = hunt(stand, MOST_NEW_REPLICAS)
    lacking = stand.obtained() + stand.asked() < goal
    cramped = lacking and not picks and case.cramped(stand.context)
    world = give_back_yielding(give_back_impaired(world, goal, cramped=cramped), goal)
    leaving = frozenset(h.region for h in world.holdings if h.draining and h.visible)
    world = give_back(replace(stand, world=world, terms=slow), resting=leaving | resting(case.memory, case.now))
    feedback = Return()
    after = Stand(replace(stand.context, world=world), offers, world, slow)
    if not picks and not lacking and not rollout.behind(case.spec, world):
        feedback = consider(after, case.memory, case.whole_since)
        picks = (feedback.pick,) if feedback.pick else ()
    scales = Telling(after, {p.candidate.key: p for p in picks})
    spares = max(0, after.obtained(bridging=False) - goal - surplus(after))
    beside = Beside(offers.bridges, after.obtained(bridging=True), spares)
    return Settled(world, picks, lacking, feedback, scales, beside)
