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

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from statistics import median_low

from controlplane.decide import learning, rollout
from controlplane.decide.allocation import (
    Pick,
    answers_soon,
    dispensable,
    essential,
    give_back_impaired,
    give_back_yielding,
    has_room,
    in_excess,
    may_try,
    reduced,
    spreading,
    withdrawn,
)
from controlplane.decide.candidates import Candidate
from controlplane.decide.case import MOST_NEW_REPLICAS, Case, Settled
from controlplane.decide.failback import MOVES_AN_HOUR, Return, moves_of, resting, settled
from controlplane.decide.filters import Context
from controlplane.decide.portfolio import Line, Portfolio, Terms
from controlplane.decide.world import Holding, World
from controlplane.model.memory import Memory
from controlplane.model.observation import Observation
from controlplane.model.offering import Capacity
from controlplane.model.reasons import Reason
from controlplane.model.service import Preset, ServiceSpec

PRESETS: Mapping[Preset, float] = {Preset.FRUGAL: 8.0, Preset.BALANCED: 24.0, Preset.AVAILABLE: 80.0}
"""What a missing replica costs an hour, in on-demand prices of one replica."""

SPOT_DISCOUNT = 3.0
"""On-demand over Spot, where no on-demand price is known to reckon a preset by."""

MOST_SPARES = 4
"""Spares at most where the user names no bound."""

KEEPING = 0.3
"""What letting go of a replica must save, in its price: getting it back is not certain."""

MOVING = 0.15
"""What a move must save, in the price of what is left."""

RECOVERIES = (timedelta(minutes=3), timedelta(minutes=30))
"""Bounds of what the time from asking to serving is taken for; the lower one while none has been seen."""


def value_of_missing(spec: ServiceSpec, observation: Observation, candidates: Iterable[Candidate]) -> float | None:
    """Give USD for an hour in which a replica is missing; None when the user puts no value on it."""
    policy = spec.policy
    if policy.missing_replica_cost is not None or policy.preset is None:
        return policy.missing_replica_cost
    prices = [c.price for c in candidates if c.price is not None and c.offering.capacity is Capacity.ON_DEMAND]
    if not prices:
        named = [
            o for o in observation.prices if o.capacity is Capacity.ON_DEMAND and o.accelerator in spec.accelerators
        ]
        prices = [observation.prices[o] * o.accelerator.count for o in named]
    if not prices:
        prices = [SPOT_DISCOUNT * c.price for c in candidates if c.price is not None]
    return PRESETS[policy.preset] * min(prices) if prices else None


def recovery_of(world: World) -> timedelta:
    """Give how long it takes from asking for a replica to its being ready, as those that are ready took."""
    took = [
        pod.ready_at - pod.created_at
        for holding in world.holdings
        if holding.workload and holding.visible
        for pod in holding.workload.live_pods
        if pod.ready_at is not None
    ]
    shortest, longest = RECOVERIES
    return min(longest, max(shortest, median_low(took))) if took else shortest


@dataclass(frozen=True)
class Stand:
    """How the service stands: everything that the choices look at."""

    context: Context
    candidates: tuple[Candidate, ...]
    world: World
    terms: Terms

    @cached_property
    def by_key(self) -> dict[str, Candidate]:
        """The candidates by key."""
        return {c.key: c for c in self.candidates}

    @cached_property
    def bridge_price(self) -> float | None:
        """What on-demand costs where it stands beside something else to buy; None where it is no bridge."""
        if all(c.offering.capacity is Capacity.ON_DEMAND for c in self.candidates):
            return None
        prices = [c.price for c in self.candidates if c.offering.capacity is Capacity.ON_DEMAND and c.price is not None]
        return min(prices, default=None)

    def bridges(self, candidate: Candidate) -> bool:
        """Tell whether this is on-demand that only bridges what Spot does not give."""
        return self.bridge_price is not None and candidate.offering.capacity is Capacity.ON_DEMAND

    def is_aim(self, candidate: Candidate) -> bool:
        """Tell whether this is what the service wants to stand on: not a bridge, nor dearer than one."""
        if self.bridge_price is None or candidate.price is None:
            return not self.bridges(candidate)
        return not self.bridges(candidate) and candidate.price < self.bridge_price

    @cached_property
    def lines(self) -> dict[str, Line]:
        """Every offering as something to hold."""
        return {c.key: self._line(c) for c in self.candidates}

    def _line(self, candidate: Candidate) -> Line:
        dearest = self.bridge_price or 0.0
        lasts = candidate.offering.capacity is not Capacity.SPOT
        hazard = 0.0 if lasts else learning.hazard(candidate.past, self.context.now, candidate.advice)
        price = dearest if candidate.price is None else candidate.price
        return Line(candidate.key, candidate.region, price, hazard)

    def kept(self) -> list[Holding]:
        """Give what the service means to keep and can be counted on."""
        return [h for h in self.world.holdings if h.kept and not h.lost and h.key in self.by_key]

    def obtained(self, *, bridging: bool | None = None) -> int:
        """Count replicas that have their GPUs and serve or may come to."""
        return sum(h.serving + h.warming for h in self._some(bridging))

    def asked(self, *, bridging: bool | None = None) -> int:
        """Count replicas that wait for GPUs."""
        return sum(0 if h.yielding else h.hunting for h in self._some(bridging))

    def bridges_to_spare(self) -> int:
        """Count on-demand replicas beyond what Spot does not serve yet; what warms is not there, and may be lost first."""
        serving = sum(h.serving for h in self._some(bridging=False))
        return self.obtained(bridging=True) - max(0, self.terms.wanted - serving)

    def _some(self, bridging: bool | None) -> list[Holding]:
        kept = self.kept()
        return kept if bridging is None else [h for h in kept if self.bridges(self.by_key[h.key]) is bridging]

    def aims(self) -> Portfolio:
        """Give what is held or asked for of what the service wants to stand on."""
        counts = {h.key: h.cover for h in self._some(bridging=False)}
        return Portfolio(self.terms, self.lines, counts)

    def whole(self) -> Portfolio:
        """Give everything that has its GPUs."""
        return Portfolio(self.terms, self.lines, {h.key: h.serving + h.warming for h in self.kept()})


def settle(case: Case, world: World, goal: int) -> Settled:
    """Ask for what is worth it, give back what is not, and when neither is called for, consider a move."""
    missing = value_of_missing(case.spec, case.observation, case.candidates) or 0.0
    terms = Terms(goal, missing, recovery_of(world) / timedelta(hours=1))
    stand = Stand(case.context(world), case.candidates, world, terms)
    picks = hunt(stand, MOST_NEW_REPLICAS)
    lacking = stand.obtained() + stand.asked() < goal
    cramped = lacking and not picks and case.cramped(stand.context)
    world = give_back_yielding(give_back_impaired(world, goal, cramped=cramped), goal)
    world = give_back(replace(stand, world=world), resting=resting(case.memory, case.now))
    feedback = Return()
    if not picks and not lacking and not rollout.behind(case.spec, world):
        after = Stand(replace(stand.context, world=world), case.candidates, world, terms)
        feedback = consider(after, case.memory, case.whole_since)
        picks = (feedback.pick,) if feedback.pick else ()
    return Settled(world, picks, lacking, feedback)


def hunt(stand: Stand, most: int) -> tuple[Pick, ...]:
    """Choose what is asked for in this pass, at most so many replicas: aims, bridges, or a spare."""
    aims = _Basket(stand)
    wanted = stand.terms.wanted
    aims.fill([c for c in stand.candidates if stand.is_aim(c)], min(most, wanted - stand.aims().total))
    bridges = _bridges(stand, aims, most - aims.total)
    if aims.total or bridges or stand.obtained() + stand.asked() < wanted:
        return (*aims.picks(Reason.BEST_SCORE), *bridges)
    return _spare(stand)


class _Basket:
    """What is chosen, one replica after the other, each time what makes the whole cheapest and still has room."""

    def __init__(self, stand: Stand) -> None:
        self.taken: Counter[str] = Counter()
        self._stand = stand
        self._portfolio = stand.aims()
        self._in_region = Counter(stand.context.in_region)
        self._budget = stand.context.budget

    @property
    def total(self) -> int:
        """How many replicas are chosen."""
        return self.taken.total()

    def fill(self, candidates: list[Candidate], need: int) -> None:
        """Choose so many replicas more among these, as far as there is room."""
        context = self._stand.context
        if need <= 0:
            return
        open_now = [c for c in candidates if may_try(context, c)]
        soon = [c for c in candidates if answers_soon(context, c)]
        for left in range(need, 0, -1):
            possible = self._possible(open_now, left)
            best = min(possible, key=self._rank, default=None)
            spent = [c for c in open_now if self.taken[c.key] >= c.past.budget and not c.past.failures]
            if best is None or any(c.accelerator_rank < best.accelerator_rank for c in (*soon, *spent)):
                break
            self._take(best)

    def _possible(self, open_now: list[Candidate], left: int) -> list[Candidate]:
        scene = replace(self._stand.context, in_region=dict(self._in_region), budget=self._budget)
        roomy = [c for c in open_now if has_room(scene, c, self.taken[c.key])]
        return spreading(scene.spec, roomy, self._in_region, left)

    def _rank(self, candidate: Candidate) -> tuple[int, float, int, int, str]:
        cost = round(self._portfolio.cost_with(candidate.key), 9)
        crowd = self._in_region[candidate.region]
        return candidate.accelerator_rank, cost, crowd, candidate.capacity_rank, candidate.key

    def _take(self, candidate: Candidate) -> None:
        self.taken[candidate.key] += 1
        self._in_region[candidate.region] += 1
        self._portfolio = self._portfolio.with_more(candidate.key)
        if self._budget is not None:
            self._budget -= candidate.price or 0.0

    def picks(self, reason: Reason) -> tuple[Pick, ...]:
        """Give what was chosen, as attempts to begin."""
        return tuple(Pick(c, self.taken[c.key], reason) for c in self._stand.candidates if self.taken[c.key])


def _bridges(stand: Stand, aims: _Basket, most: int) -> tuple[Pick, ...]:
    """Ask for on-demand beside what is asked for already, where the answer is not worth waiting for.

    Each missing replica waits for the likeliest attempt in flight; a bridge costs its price as long as it is needed,
    and saves the price of a missing replica as long, if that attempt fails.
    """
    price = stand.bridge_price
    bare = stand.terms.wanted - stand.obtained() - stand.asked(bridging=True)
    if price is None or bare <= 0 or most <= 0:
        return ()
    hopes = sorted(_hopes(stand, aims), reverse=True)[:bare]
    worth = sum((1 - hope) * stand.terms.missing > price for hope in (*hopes, *[0.0] * (bare - len(hopes))))
    basket = _Basket(stand)
    basket.fill([c for c in stand.candidates if stand.bridges(c)], min(worth, most))
    return basket.picks(Reason.BRIDGE)


def _hopes(stand: Stand, aims: _Basket) -> list[float]:
    """Give the chance of every replica that is asked for, or is about to be."""
    hopes: list[float] = []
    for candidate in stand.candidates:
        held = candidate.holding
        waiting = held.hunting if held is not None and held.kept and not held.yielding and held.visible else 0
        count = aims.taken[candidate.key] + (0 if stand.bridges(candidate) else waiting)
        if count:
            hopes += [learning.chance(candidate.past, stand.context.now, candidate.advice)] * count
    return hopes


def _spare(stand: Stand) -> tuple[Pick, ...]:
    """Ask for one replica beyond what is wanted, if what is held is likely enough to be lost."""
    aims, bound = stand.aims(), stand.context.spec.policy.max_spares
    if aims.total >= stand.terms.wanted + (MOST_SPARES if bound is None else bound):
        return ()
    priced = [c for c in stand.candidates if stand.is_aim(c) and c.price is not None and c.price < aims.at_stake()]
    basket = _Basket(stand)
    possible = [c for c in priced if may_try(stand.context, c) and has_room(stand.context, c, 0)]
    best = min(possible, key=lambda c: (aims.cost_with(c.key), c.accelerator_rank, c.key), default=None)
    if best is None or aims.cost_with(best.key) >= aims.cost():
        return ()
    basket.taken[best.key] = 1
    return basket.picks(Reason.SPARE)


def give_back(stand: Stand, *, resting: frozenset[str]) -> World:
    """Give back what the whole is cheaper without: all that only waits, but GPUs of one placement a pass."""
    world = _withdraw(stand)
    stand = replace(stand, world=world)
    if stand.obtained() <= stand.terms.wanted:
        return world
    whole = stand.whole()
    choices: list[tuple[int, float, float, str, Holding]] = []
    for holding in stand.kept():
        leaves = _leaves(stand, holding, resting)
        if leaves > 0:
            candidate = stand.by_key[holding.key]
            threshold = 0.0 if stand.bridges(candidate) else KEEPING * stand.lines[holding.key].price
            rest = whole.with_more(holding.key, -1).cost()
            if rest + threshold < whole.cost() or candidate.accelerator_rank > _best_rank(stand):
                age = -(holding.serving_since or holding.since).timestamp()
                choices.append((-candidate.accelerator_rank, rest, age, holding.key, holding))
    if not choices:
        return world
    holding = min(choices, key=lambda c: c[:4])[-1]
    left = reduced(holding, _how_many(stand, holding, _leaves(stand, holding, resting)), stand.context.now)
    return world.swap(tuple(left if h.key == holding.key else h for h in world.holdings))


def _best_rank(stand: Stand) -> int:
    return min((stand.by_key[h.key].accelerator_rank for h in stand.kept() if h.serving), default=0)


def _leaves(stand: Stand, holding: Holding, resting: frozenset[str]) -> int:
    """Give how many replicas of a placement may go at all in this pass."""
    spec, counts = stand.context.spec, stand.context.in_region
    if not holding.visible or not (holding.serving or holding.warming):
        return 0
    if holding.serving and not holding.warming and holding.region in resting:
        return 0
    if essential(spec, counts, holding) and not in_excess(spec, counts, holding.region):
        return 0
    bridge = stand.bridges(stand.by_key[holding.key])
    excess = stand.bridges_to_spare() if bridge else stand.obtained(bridging=False) - stand.terms.wanted
    most = dispensable(spec, stand.world, holding, stand.terms.wanted, stand.context.now)
    return max(0, min(most, excess))


def _how_many(stand: Stand, holding: Holding, most: int) -> int:
    """Give how many at once: as many as make the whole cheaper, one after the other."""
    whole, count = stand.whole().with_more(holding.key, -1), 1
    threshold = 0.0 if stand.bridges(stand.by_key[holding.key]) else KEEPING * stand.lines[holding.key].price
    while count < most and whole.with_more(holding.key, -1).cost() + threshold < whole.cost():
        whole, count = whole.with_more(holding.key, -1), count + 1
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
    aims, count = stand.aims(), 0
    threshold = KEEPING * stand.lines[holding.key].price
    while count < holding.hunting and aims.total > stand.terms.wanted:
        fewer = aims.with_more(holding.key, -1)
        if fewer.cost() + threshold >= aims.cost():
            break
        aims, count = fewer, count + 1
    return count


def consider(stand: Stand, memory: Memory, whole_since: datetime | None) -> Return:
    """Decide whether to move one replica to where the whole is cheaper, or to a preferred GPU type."""
    context, now = stand.context, stand.context.now
    whole, spec = stand.whole(), stand.context.spec
    calm = whole_since is not None and now - whole_since >= spec.timing.stabilisation_window
    if stand.asked() or any(stand.bridges(stand.by_key[h.key]) for h in stand.kept()):
        return Return()
    best: tuple[tuple[int, float, str], Candidate, Holding] | None = None
    for holding in stand.kept():
        own = stand.by_key[holding.key]
        if not holding.serving:
            continue
        without = whole.with_more(holding.key, -1)
        bar = whole.cost() - MOVING * stand.lines[holding.key].price
        for candidate in stand.candidates:
            gain = _gain(stand, without, own, candidate)
            if gain is None or (gain[0] == 0 and gain[1] >= bar):
                continue
            rank = (*gain, candidate.key)
            if (best is None or rank < best[0]) and may_try(context, candidate):
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
    if not has_room(context, candidate, 0):
        return Return()
    return Return(Pick(candidate, 1, Reason.FAILBACK_PROBE))


def _gain(stand: Stand, without: Portfolio, own: Candidate, other: Candidate) -> tuple[int, float] | None:
    """Give (steps up in the user's order of accelerators, the cost then); None where it is no move."""
    if other.key == own.key or not stand.is_aim(other) or other.accelerator_rank > own.accelerator_rank:
        return None
    held = other.holding
    if held is not None and (held.attempt or not held.kept or held.impaired):
        return None
    return other.accelerator_rank - own.accelerator_rank, without.cost_with(other.key)
