"""What is given back: all that only waits and is not needed, and what the whole is cheaper without."""

from dataclasses import replace

from controlplane.decide.allocation import dispensable, essential, in_excess, reduced, withdrawn
from controlplane.decide.valued.stand import Stand
from controlplane.decide.world import Holding, World

KEEPING = 0.05
"""What letting go of a replica must save, in its price: getting it back is not certain."""


def give_back(stand: Stand, *, resting: frozenset[str]) -> World:
    """Give back what the whole is cheaper without: all that only waits, but GPUs of one placement a pass.

    The worst is waited for where it cannot go yet: giving back a better one instead would undo a move half way.
    """
    world = _withdraw(stand)
    stand = replace(stand, world=world)
    if stand.obtained() <= stand.terms.wanted:
        return world
    worst = _worst(stand)
    if worst is None or (worst.serving and not worst.warming and worst.region in resting):
        return world
    most = dispensable(stand.context.spec, world, worst, stand.terms.wanted, stand.context.now)
    count = _how_many(stand, worst, min(most, _excess(stand, worst)))
    if not count:
        return world
    left = reduced(worst, count, stand.context.now)
    return world.swap(tuple(left if h.key == worst.key else h for h in world.holdings))


def surplus(stand: Stand) -> int:
    """Give how many replicas are about to be given back, once others are proven."""
    worst = _worst(stand) if stand.obtained() > stand.terms.wanted else None
    return 0 if worst is None else _how_many(stand, worst, _excess(stand, worst))


def _worst(stand: Stand) -> Holding | None:
    return min((h for h in stand.kept if _excess(stand, h) > 0), key=lambda h: _rank(stand, h), default=None)


def _rank(stand: Stand, holding: Holding) -> tuple[bool, bool, int, float, float, str]:
    """Rank by how gladly a replica is given back.

    First a bridge, then what its region holds too many of, the lesser GPU type, what the whole is cheapest without.
    """
    bridge = stand.bridges(holding)
    crowded = in_excess(stand.context.spec, stand.context.in_region, holding.region)
    lesser = -stand.by_key[holding.key].accelerator_rank
    rest = stand.whole.with_more(holding.key, -1).cost()
    return (
        not bridge,
        not crowded,
        lesser,
        round(rest, 9),
        -(holding.serving_since or holding.since).timestamp(),
        holding.key,
    )


def _excess(stand: Stand, holding: Holding) -> int:
    """Give how many replicas of a placement may go, once others are proven."""
    spec, counts = stand.context.spec, stand.context.in_region
    if not holding.visible or not (holding.serving or holding.warming):
        return 0
    if essential(spec, counts, holding) and not in_excess(spec, counts, holding.region):
        return 0
    bridge = stand.bridges(holding)
    return stand.bridges_to_spare() if bridge else stand.obtained(bridging=False) - stand.terms.wanted


def _how_many(stand: Stand, holding: Holding, most: int) -> int:
    """Give how many replicas the whole is cheaper without, one after the other, or more than the user would have."""
    bridge, count = stand.bridges(holding), 0
    whole = stand.whole if bridge else stand.lasting  # a bridge is soon gone, so nothing is spare for its sake
    beyond = most if bridge else stand.obtained(bridging=False) - stand.terms.wanted - stand.most_spares
    while count < most:
        fewer = whole.with_more(holding.key, -1)
        if count >= beyond and fewer.cost() + KEEPING * stand.lines[holding.key].price >= whole.cost():
            break
        whole, count = fewer, count + 1
    return count


def _withdraw(stand: Stand) -> World:
    """Take back what only waits and is not needed any more."""
    bare = stand.terms.wanted - stand.obtained()
    excess = stand.asked(bridging=True) - max(0, bare)
    holdings = list(stand.world.holdings)
    for index, holding in enumerate(holdings):
        candidate = stand.by_key.get(holding.key)
        if candidate is None or not holding.kept or not holding.visible or holding.yielding or not holding.hunting:
            continue
        if stand.bridges(candidate):
            pending = min(excess, holding.hunting)
            excess -= max(0, pending)
        else:
            probes = holding.attempt is not None and holding.attempt.failback
            pending = 0 if probes else _unwanted(stand, holding)
        if pending > 0:
            holdings[index] = withdrawn(holding, pending)
    return stand.world.swap(tuple(holdings))


def _unwanted(stand: Stand, holding: Holding) -> int:
    """Give how many replicas that a placement waits for would only cost, were they to come."""
    aims, count = stand.aims, 0
    while count < holding.hunting and aims.total > stand.terms.wanted:
        fewer = aims.with_more(holding.key, -1)
        if fewer.cost() + KEEPING * stand.lines[holding.key].price >= aims.cost():
            break
        aims, count = fewer, count + 1
    return count
