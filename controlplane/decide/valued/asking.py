"""What is asked for in this pass: aims where they make the whole cheapest, bridges beside them, or a spare."""

from collections import Counter
from dataclasses import replace

from controlplane.decide import learning
from controlplane.decide.allocation import Pick, answers_soon, has_room, may_try, spreading
from controlplane.decide.candidates import Candidate
from controlplane.decide.valued.stand import Stand
from controlplane.model.reasons import Reason


def hunt(stand: Stand, most: int) -> tuple[Pick, ...]:
    """Choose what is asked for in this pass, at most so many replicas: aims, bridges, or a spare."""
    aims = _Basket(stand)
    wanted = stand.terms.wanted
    aims.fill([c for c in stand.candidates if stand.is_aim(c)], min(most, wanted - stand.aims.total))
    bridges = _bridges(stand, aims, most - aims.total)
    if aims.total or bridges or stand.obtained() + stand.asked() < wanted:
        return (*aims.picks(Reason.BEST_SCORE), *bridges)
    return _spare(stand)


class _Basket:
    """What is chosen, one replica after the other, each time what makes the whole cheapest and still has room."""

    def __init__(self, stand: Stand) -> None:
        self.taken: Counter[str] = Counter()
        self._stand = stand
        self._portfolio = stand.aims
        self._in_region = Counter(stand.context.in_region)
        self._spread = Counter(stand.aims_in_region)
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
        return spreading(scene.spec, roomy, self._spread, left)

    def _rank(self, candidate: Candidate) -> tuple[int, float, int, int, str]:
        cost = round(self._portfolio.cost_with(candidate.key), 9)
        crowd = self._in_region[candidate.region]
        return candidate.accelerator_rank, cost, crowd, candidate.capacity_rank, candidate.key

    def _take(self, candidate: Candidate) -> None:
        self.taken[candidate.key] += 1
        self._in_region[candidate.region] += 1
        self._spread[candidate.region] += 1
        self._portfolio = self._portfolio.with_more(candidate.key)
        if self._budget is not None:
            self._budget -= candidate.price or 0.0

    def beside(self, reserve: float) -> "_Basket":
        """Give a basket for what is asked for beside this, out of the same room; so much money is kept back."""
        other = _Basket(self._stand)
        other._in_region = Counter(self._in_region)
        other._budget = None if self._budget is None else self._budget - reserve
        return other

    def picks(self, reason: Reason) -> tuple[Pick, ...]:
        """Give what was chosen, as attempts to begin."""
        return tuple(Pick(c, self.taken[c.key], reason) for c in self._stand.candidates if self.taken[c.key])


def _bridges(stand: Stand, aims: _Basket, most: int) -> tuple[Pick, ...]:
    """Ask for on-demand beside what is asked for already, where the answer is not worth waiting for.

    Each missing replica waits for the likeliest attempt in flight; a bridge costs its price as long as it is needed,
    and saves the price of a missing replica as long, if that attempt fails.
    """
    bare = stand.terms.wanted - stand.obtained() - stand.asked(bridging=True)
    if bare <= 0 or most <= 0:
        return ()
    hopes = sorted(_hopes(stand, aims), reverse=True)[:bare]
    savings = [(1 - hope) * stand.terms.missing for hope in (*hopes, *[0.0] * (bare - len(hopes)))]
    possible = [c for c in stand.candidates if stand.bridges(c) and stand.lines[c.key].price < max(savings)]
    cheapest = min((stand.lines[c.key].price for c in possible), default=0.0)
    basket = aims.beside(_reserve(stand, aims))
    basket.fill(possible, min(most, sum(saved > cheapest for saved in savings)))
    return basket.picks(Reason.BRIDGE)


def _reserve(stand: Stand, aims: _Basket) -> float:
    """Give what the cost cap must leave for replicas still to be asked for, lest a bridge keeps them away for good.

    Where nothing at all is under way, one that bridges is better than none.
    """
    if not (stand.obtained() or stand.asked() or aims.total):
        return 0.0
    to_come = stand.terms.wanted - stand.aims.total - aims.total
    return max(0, to_come) * min((stand.lines[key].price for key in stand.offers.aims), default=0.0)


def _hopes(stand: Stand, aims: _Basket) -> list[float]:
    """Give the chance of every replica that is asked for, or is about to be."""
    hopes: list[float] = []
    for candidate in stand.candidates:
        held = candidate.holding
        waiting = held.hunting if held is not None and held.kept and not held.yielding and held.visible else 0
        count = aims.taken[candidate.key] + (0 if stand.bridges(candidate) else waiting)
        if count:
            sold_out = stand.context.blocks.sold_out.get((candidate.region, candidate.offering.kind))
            hopes += [learning.chance(candidate.past, stand.context.now, candidate.advice, sold_out)] * count
    return hopes


def _spare(stand: Stand) -> tuple[Pick, ...]:
    """Ask for one replica beyond what is wanted, if what is held is likely enough to be lost."""
    aims = stand.aims
    if aims.total >= stand.terms.wanted + stand.most_spares:
        return ()
    stake = aims.at_stake()
    priced = [c for c in stand.candidates if stand.is_aim(c) and c.price is not None and c.price < stake]
    bar = aims.cost()
    worth = sorted((cost, c.accelerator_rank, c.key) for c in priced if (cost := aims.cost_with(c.key)) < bar)
    ranked = (stand.by_key[key] for _, _, key in worth)
    best = next((c for c in ranked if may_try(stand.context, c) and has_room(stand.context, c, 0)), None)
    if best is None:
        return ()
    basket = _Basket(stand)
    basket.taken[best.key] = 1
    return basket.picks(Reason.SPARE)
