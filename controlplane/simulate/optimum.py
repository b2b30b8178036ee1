"""What could have been had for the least money, had the future been known: the exact offline optimum.

A linear programme. Time is cut where capacity changes, and one cold start before and after each change: an optimal
plan starts a replica when capacity appears or so that it is ready just when another one is lost, and ends one when it
is lost or just when another one is ready, so it has no reason to act at any other instant. In each zone and slice of
time `held` is bounded by the capacity and costs its price; `ready` is bounded by `held` in every slice that the last
cold start touches (the oldest are kept, so what was held throughout is ready). The ready of all zones and of on-demand
sum up to the replicas.

Only with on-demand can they always be had. Without it they are asked for in those slices alone before which enough spot
capacity had existed for a cold start, and the availability is the share of such time.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise

from controlplane.api.problems import Problem, SpecError
from controlplane.simulate.market import Scoring
from controlplane.simulate.replay import check_length
from controlplane.simulate.score import Result, on_end
from controlplane.simulate.trace import Trace

NAME = "omniscient"


@dataclass(slots=True)
class _Programme:
    """Minimise costs x subject to rows of pairs x[a] - x[b] <= 0 and covers: sum of x over a cover >= replicas."""

    costs: list[float] = field(default_factory=list)
    scored: list[bool] = field(default_factory=list)
    bounds: list[int] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    covers: dict[int, list[int]] = field(default_factory=dict)

    def variable(self, cost: float, bound: int, *, counts: bool = True) -> int:
        # What is not scored costs a thousandth, so that no more is started there than is of use.
        self.costs.append(cost if counts else cost * 1e-3)
        self.scored.append(counts)
        self.bounds.append(bound)
        return len(self.costs) - 1


class _Slices:
    """The slices of time: from `starts[k]` to `starts[k + 1]`."""

    def __init__(self, trace: Trace, scoring: Scoring) -> None:
        cold = max(scoring.ready_after, scoring.answer_after)
        instants = {0.0, trace.duration, scoring.left_out, scoring.left_out - cold}
        for at, _, _ in trace.changes():
            instants.update((at - cold, at, at + cold))
        self.starts = sorted(at for at in instants if 0 <= at <= trace.duration)
        self.lengths = [later - earlier for earlier, later in pairwise(self.starts)]
        self.scored = bisect_right(self.starts, scoring.left_out) - 1  # the first slice that counts
        # The slices a replica must have been held in to be ready in slice k; none when k is too early.
        self.windows = [
            range(bisect_right(self.starts, at - cold) - 1, k + 1) if at >= cold else range(0)
            for k, at in enumerate(self.starts[:-1])
        ]

    def capacities(self, trace: Trace, zone: int, most: int) -> list[int]:
        """Give the capacity of a zone in each slice, at most `most`."""
        return [min(most, trace.capacity_at(zone, at)) for at in self.starts[:-1]]

    def obtainable(self, capacity: list[int]) -> list[int]:
        """Give how many can be ready in each slice: the least capacity in its window."""
        return [min((capacity[j] for j in window), default=0) for window in self.windows]


def omniscient(trace: Trace, replicas: int, scoring: Scoring, *, on_demand: bool = True) -> Result:
    """Solve for the least cost. Raises SpecError when SciPy is missing or nothing can be had at any time.

    Attempts are the starts on spot; nothing fails and nothing is lost by surprise. The moves are not counted: a plan of
    amounts does not say which replica took whose place.
    """
    check_length(trace, scoring)
    slices = _Slices(trace, scoring)
    capacities = [slices.capacities(trace, zone, replicas) for zone in range(len(trace.zones))]
    obtainable = [slices.obtainable(capacity) for capacity in capacities]
    wanted = list(range(slices.scored, len(slices.lengths)))
    if not on_demand:
        wanted = [k for k in wanted if sum(column[k] for column in obtainable) >= replicas]
        if not wanted:
            raise SpecError([Problem(trace.name, "there is no optimum: nothing can be had", "allow on-demand")])
    programme = _Programme(covers={k: [] for k in wanted})
    held: list[dict[int, int]] = []
    for zone, capacity, most in zip(trace.zones, capacities, obtainable, strict=True):
        held.append(_add(programme, slices, zone.spot_price, capacity, most))
    if on_demand:
        always = [replicas] * len(slices.lengths)
        _add(programme, slices, trace.on_demand_price, always, slices.obtainable(always))
    amounts = _solve(programme, replicas)
    entries = zip(programme.costs, programme.scored, amounts, strict=True)
    spent = sum(cost * amount for cost, counts, amount in entries if counts)
    scored = trace.duration - scoring.left_out
    short = [k not in programme.covers for k in range(slices.scored, len(slices.lengths))]
    outages = on_end(zip(short, slices.lengths[slices.scored :], strict=True))
    return Result(
        policy=NAME,
        availability=1 - sum(outages) / scored,
        cost=spent / (replicas * trace.on_demand_price * scored),
        attempts=round(sum(_starts(zone, amounts) for zone in held)),
        failed_attempts=0,
        preemptions=0,
        moves=0,
        longest_outage_minutes=max(outages, default=0.0) / 60,
    )


def _add(programme: _Programme, slices: _Slices, price: float, capacity: list[int], most: list[int]) -> dict[int, int]:
    """Add what can be held and ready of one price; give the variable of what is held by slice."""
    held: dict[int, int] = {}
    for k, cover in programme.covers.items():
        if not most[k]:
            continue
        ready = programme.variable(0.0, most[k])
        cover.append(ready)
        for j in slices.windows[k]:
            if j not in held:
                held[j] = programme.variable(price * slices.lengths[j], capacity[j], counts=j >= slices.scored)
            programme.pairs.append((ready, held[j]))
    return held


def missing() -> Problem | None:
    """Say what is not installed that this needs, and how to install it."""
    if all(find_spec(name) for name in ("numpy", "scipy")):
        return None
    return Problem(NAME, "SciPy is not installed, which it needs", "install it: pip install 'gpu-hunter[simulate]'")


def _solve(programme: _Programme, replicas: int) -> list[float]:
    lack = missing()
    if lack is not None:
        raise SpecError([lack])
    import numpy as np
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    pairs = np.array(programme.pairs, dtype=np.int64).reshape(-1, 2)
    sizes = [len(cover) for cover in programme.covers.values()]
    rows = np.concatenate(
        [np.arange(len(pairs)), np.arange(len(pairs)), len(pairs) + np.repeat(np.arange(len(sizes)), sizes)]
    )
    members = np.array([one for cover in programme.covers.values() for one in cover], dtype=np.int64)
    columns = np.concatenate([pairs[:, 0], pairs[:, 1], members])
    values = np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs) + len(members))])
    matrix = coo_array((values, (rows, columns)), shape=(len(pairs) + len(sizes), len(programme.costs))).tocsr()
    limits = np.concatenate([np.zeros(len(pairs)), np.full(len(sizes), -float(replicas))])
    bounds = np.column_stack([np.zeros(len(programme.bounds)), np.array(programme.bounds, dtype=float)])
    scale = max(programme.costs) or 1.0
    solved = linprog(np.array(programme.costs) / scale, matrix, limits, bounds=bounds, method="highs")
    if not solved.success:
        raise RuntimeError(f"the linear programme was not solved: {solved.message}")
    return [float(amount) for amount in solved.x]


def _starts(held: dict[int, int], amounts: list[float]) -> float:
    """Give how many replicas a zone starts: the sum of all rises of what it holds."""
    level = {k: amounts[variable] for k, variable in held.items()}
    return sum(max(0.0, amount - level.get(k - 1, 0.0)) for k, amount in level.items())
