"""How many replicas a zone has room for while it has room at all.

Recorded counts stay at the highest that was probed for most of the time in a good zone, and wander over the whole
range in a poor one; they change 0.1 to 4 times per hour, by any amount.
"""

from collections.abc import Sequence
from math import exp
from random import Random

_USUAL_CHANGES = 0.8  # per hour of being up; the median over zones


def counts(random: Random, up: Sequence[bool], most: int, interval: float) -> tuple[int, ...]:
    """Give a count for each interval (seconds): 0 while down, else 1 to `most`."""
    change = 1 - exp(-interval / 3600 * _USUAL_CHANGES * exp(random.gauss(0.0, 0.9)))
    plenty = random.betavariate(2.0, 1.2)
    count, capacity = 0, []
    for is_up in up:
        if not is_up:
            count = 0
        elif count == 0 or random.random() < change:
            count = most if random.random() < plenty else random.randint(1, most)
        capacity.append(count)
    return tuple(capacity)
