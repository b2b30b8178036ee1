"""Where replicas go by the user's order alone, when nothing is said of what a missing one is worth.

What is missing is hunted for in the order of preference, one kind after the other; what is too much is given back from
the other end; and when all is quiet, what is preferred is probed again.
"""

from dataclasses import replace

from controlplane.decide import rollout
from controlplane.decide.allocation import cover, give_back, give_back_impaired, give_back_yielding, hunt
from controlplane.decide.case import MOST_NEW_REPLICAS, Case, Settled
from controlplane.decide.failback import Return, consider, resting
from controlplane.decide.world import World
from controlplane.model.service import ServiceSpec


def settle(case: Case, world: World, goal: int) -> Settled:
    """Hunt for what is missing and give back what is too much; when neither is called for, consider going back."""
    context = case.context(world)
    need = goal - cover(world)
    picks = hunt(context, case.candidates, min(need, MOST_NEW_REPLICAS)) if need > 0 else ()
    cramped = need > sum(p.replicas for p in picks) and case.cramped(context)
    world = give_back_yielding(give_back_impaired(world, goal, cramped=cramped), goal)
    world = give_back(case.spec, world, case.by_key, goal, case.now, resting=resting(case.memory, case.now))
    feedback = Return()
    if need <= 0:
        calm, after = quiet(case.spec, world, goal), replace(context, world=world)
        feedback = consider(after, case.memory, case.candidates, case.whole_since, quiet=calm)
        picks = (feedback.pick,) if feedback.pick else ()
    return Settled(world, picks, need > 0, feedback)


def quiet(spec: ServiceSpec, world: World, goal: int) -> bool:
    """Tell whether nothing is under way that a move would get into the way of."""
    steady = all(
        h.visible and not h.draining and not h.hunting and not h.warming and not h.impaired and h.attempt is None
        for h in world.holdings
    )
    return steady and cover(world) == goal == spec.replicas and not rollout.behind(spec, world)
