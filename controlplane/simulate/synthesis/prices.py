"""Spot prices: alike inside a region, far apart between regions, below on-demand everywhere.

Recorded: 1.86 to 8.74 USD for the same GPU against 10.32 on demand, most regions near the cheap end.
"""

from collections.abc import Sequence
from random import Random

_DEAREST = 0.85  # of on-demand
_INSIDE = 0.03  # how far zones of one region are apart, of the whole range


def prices(random: Random, homes: Sequence[int], on_demand: float, ratio: float) -> list[float]:
    """Give a price for each zone (`homes` holds its region's index); the dearest is `ratio` times the cheapest.

    A single region has prices as far apart, between its zones. Prices are rounded to 4 digits.
    """
    group = homes if len(set(homes)) > 1 else range(len(homes))
    ranks = list(range(max(group) + 1))
    random.shuffle(ranks)
    # squared: many near the cheap end, few dear ones
    height = [(ranks[of] / max(1, len(ranks) - 1)) ** 2 + _INSIDE * random.random() for of in group]
    lowest, span = min(height), max(height) - min(height)
    return [round(on_demand * _DEAREST * ratio ** ((at - lowest) / span - 1 if span else -1), 4) for at in height]
