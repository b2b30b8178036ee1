"""The random world that a trace is probed from: points that make zones turn, moods, and a lasting scarcity.

Zones are coupled by thinning common Poisson points: a point has a height, and a zone turns when it meets a point lower
than its hazard. A share of the points is common to a region or to all, the rest is each zone's own. So zones turn
together as often as the recorded ones do, while each one alone follows its own hazards exactly, whatever is shared.
The mood does what sharing cannot: whole regions are short for half a day, without all turning in the same minute.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, sqrt
from random import Random
from statistics import NormalDist

from controlplane.simulate.synthesis.pattern import BANDS, MOOD_SECONDS, Recipe

_SETTLING_SECONDS = 7 * 86_400.0  # lived through before the trace begins, so that it starts with spells of all ages


@dataclass(frozen=True, slots=True)
class _Region:
    scarcity: float
    mood: list[float]
    points: tuple[list[float], list[float]]


class World:
    """Regions over time. `zone` draws one more zone in a region; the order of calls is part of the seed."""

    def __init__(self, random: Random, recipe: Recipe, interval: float, intervals: int, regions: int) -> None:
        self._random, self._recipe, self._interval = random, recipe, interval
        self._settling = int(_SETTLING_SECONDS / interval)
        self._length = self._settling + intervals
        common_mood = self._mood(recipe.common_mood)
        common = self._points(recipe.shared_everywhere)
        self._regions = [
            _Region(
                scarcity=recipe.level + recipe.region_spread * deviation,
                mood=[a + b for a, b in zip(common_mood, self._mood(recipe.region_mood), strict=True)],
                points=_lower(common, self._points(recipe.shared_in_region)),
            )
            for deviation in strata(random, regions)
        ]

    def zone(self, region: int, deviation: float) -> list[bool]:
        """Give, for each interval, whether a zone is up that is `deviation` standard deviations scarcer than most."""
        recipe, home = self._recipe, self._regions[region]
        scarcity = home.scarcity + recipe.zone_spread * deviation
        hazards = (
            [hazard * exp(-recipe.relief * scarcity) for hazard in recipe.returned_per_hour],
            [hazard * exp(scarcity) for hazard in recipe.lost_per_hour],
        )
        points = _lower(home.points, self._points(1 - recipe.shared_in_region - recipe.shared_everywhere))
        up, age, states = True, 0.0, []
        for step, mood in enumerate(home.mood):
            states.append(up)
            hazard = hazards[up][bisect_right(BANDS, age)] * exp(mood if up else -mood)
            if points[up][step] < hazard:
                up, age = not up, 0.0
            else:
                age += self._interval
        return states[self._settling :]

    def _points(self, share: float) -> tuple[list[float], list[float]]:
        """Give the height of the lowest point in each interval, for zones that are down and for those that are up.

        Points have the density `share` per hour and per unit of hazard, so the lowest is exponentially distributed.
        """
        density = share * self._interval / 3600
        draw = self._random.expovariate
        down, up = ([draw(density) if density else inf for _ in range(self._length)] for _ in range(2))
        return down, up

    def _mood(self, deviation: float) -> list[float]:
        """Give a wandering value per interval, with mean 0 and this standard deviation (Ornstein-Uhlenbeck)."""
        keep = exp(-self._interval / MOOD_SECONDS)
        noise = deviation * sqrt(1 - keep * keep)
        values = [self._random.gauss(0.0, deviation)]
        while len(values) < self._length:
            values.append(keep * values[-1] + self._random.gauss(0.0, noise))
        return values


def strata(random: Random, count: int) -> list[float]:
    """Give `count` standard normal deviates spread evenly over the distribution, in random order.

    Nine independent draws may all be middling; these always hold good and bad ones.
    """
    order = list(range(count))
    random.shuffle(order)
    return [NormalDist().inv_cdf((place + random.uniform(0.3, 0.7)) / count) for place in order]


def _lower(one: Sequence[list[float]], other: Sequence[list[float]]) -> tuple[list[float], list[float]]:
    down, up = (list(map(min, mine, theirs)) for mine, theirs in zip(one, other, strict=True))
    return down, up
