"""Traces from a seed.

Each zone alternates between having capacity and having none (a semi-Markov process): in each interval it turns with
the hazard of its age in that state, times a factor of its own, times the mood of its region (`world.py`). Prices and
counts of capacity are put on top.
"""

from collections.abc import Sequence
from math import inf
from random import Random

from controlplane.api import Problem, SpecError
from controlplane.simulate.synthesis.counts import counts
from controlplane.simulate.synthesis.pattern import RECIPES, Pattern
from controlplane.simulate.synthesis.prices import prices
from controlplane.simulate.synthesis.world import World, strata
from controlplane.simulate.trace import LARGEST_AMOUNT, MOST_HELD, Trace, Zone

_UNBOUNDED = 1000
_MOST_CELLS = 20_000_000  # zones times intervals: what is made in a minute or two and fits in memory


def synthesize(
    seed: int,
    pattern: Pattern = Pattern.GOOGLE,
    *,
    zones: int = 9,
    regions: int | Sequence[str] = 3,
    days: float = 27.0,
    interval_seconds: float = 300.0,
    most: int | None = None,
    on_demand_price: float = 10.0,
    price_ratio: float = 4.5,
    accelerator: str = "gpu",
) -> Trace:
    """Make a trace of the recorded shape; the same arguments give the same trace, to the byte.

    `regions` is how many there are, or their names; zones are dealt out evenly. `most` is the highest count of
    capacity, which then moves between 1 and `most` while a zone is up; without it capacity is 0 or without a known
    bound (1000). Prices are USD per replica and hour; the dearest spot price is `price_ratio` times the cheapest.
    Raises SpecError when no trace can be made of that.
    """
    amounts = {"days": days, "interval_seconds": interval_seconds, "on_demand_price": on_demand_price}
    problems = [*_not_positive(amounts), *_not_a_map(zones, regions, most)]
    if not 1 <= price_ratio < inf:
        problems.append(
            _problem("price_ratio", f"{price_ratio:g} is no ratio of the dearest to the cheapest", "use 1 or more")
        )
    if problems:
        raise SpecError(problems)
    _check_size(zones, days * 86_400 / interval_seconds)
    intervals = round(days * 86_400 / interval_seconds)
    names = [f"region{number + 1}" for number in range(regions)] if isinstance(regions, int) else list(regions)

    random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    world = World(random, RECIPES[pattern], interval_seconds, intervals, len(names))
    homes = sorted(index % len(names) for index in range(zones))
    paid = prices(random, homes, on_demand_price, price_ratio)
    if min(paid) <= 0:
        what = f"Spot at {on_demand_price:g} USD over {price_ratio:g} comes to nothing"
        raise SpecError([_problem("price_ratio", what, "use a lower ratio, or a higher price on demand")])
    made = []
    for index, deviation in enumerate(strata(random, zones)):
        region = names[homes[index]]
        up = world.zone(homes[index], deviation)
        capacity = [_UNBOUNDED * is_up for is_up in up] if most is None else counts(random, up, most, interval_seconds)
        name = f"{region}-{_letters(index - homes.index(homes[index]))}"
        made.append(Zone(name, region, paid[index], tuple(capacity), accelerator))
    return Trace(
        name=f"synthetic-{pattern}-{zones}zones-{days:g}d-seed{seed}",
        accelerator=accelerator,
        interval_seconds=interval_seconds,
        on_demand_price=on_demand_price,
        zones=tuple(made),
        source=f"made from seed {seed}, of the shape recorded on {pattern}",
        note="1000 stands for available without a known bound"
        if most is None
        else f"capacity counts 0-{most} per zone",
    )


def _not_positive(amounts: dict[str, float]) -> list[Problem]:
    return [
        _problem(name, f"{value:g} is not a positive number up to 1e9", "use a number above 0, at most 1e9")
        for name, value in amounts.items()
        if not 0 < value <= LARGEST_AMOUNT
    ]


def _not_a_map(zones: int, regions: int | Sequence[str], most: int | None) -> list[Problem]:
    problems = []
    count = regions if isinstance(regions, int) else len(regions)
    if zones < 1:
        problems.append(_problem("zones", f"{zones} zones are no trace", "use 1 or more"))
    elif not 1 <= count <= zones:
        problems.append(_problem("regions", f"{zones} zones cannot be in {count} regions", f"use 1 to {zones} regions"))
    if not isinstance(regions, int) and len(set(regions)) < count:
        problems.append(_problem("regions", "a region is named twice", "name each region once"))
    if most is not None and most < 1:
        problems.append(_problem("most", f"{most} replicas per zone are none", "use 1 or more, or leave it out"))
    elif most is not None and most > MOST_HELD:
        problems.append(_problem("most", f"{most} replicas per zone are too many", f"use {MOST_HELD} at most"))
    return problems


def _check_size(zones: int, intervals: float) -> None:
    """Check before anything is made of the intervals, of which there may be more than any whole number holds."""
    if round(min(intervals, 2.0)) < 2:
        raise SpecError([_problem("interval_seconds", "the trace has less than 2 intervals", "use more days or less")])
    if zones * intervals > _MOST_CELLS:
        what = f"{zones} zones of {intervals:.0f} intervals are more than {_MOST_CELLS} values"
        raise SpecError([_problem("days", what, "use fewer days or zones, or longer intervals")])


def _problem(name: str, what: str, remedy: str) -> Problem:
    return Problem(path=name, what=what, remedy=remedy, source="synthesis")


def _letters(index: int) -> str:
    """Give a, b, ..., z, aa, ab, ... for 0, 1, ..."""
    high, low = divmod(index, 26)
    return (_letters(high - 1) if high else "") + chr(ord("a") + low)
