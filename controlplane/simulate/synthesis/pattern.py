"""What was recorded of real capacity, and the figures that make the generator reproduce it.

Two clouds were recorded: AWS (V100 in 9 zones over 45 days) and Google (H100 in 13 zones over 15 days). What matters
most is age: a zone that has just come up is 25 to 40 times likelier to be lost within the hour than one that has been
up for 12 hours, and zones that are out come back by the same kind of law.

The recorded hazards are averages over zones that differ, in times that differ. Zones drawn around those very figures
would show a steeper average, as the young spells come from the bad zones; so the figures of the generator are flatter,
fitted until what comes out has the recorded averages. `tests/simulate/test_synthesis.py` holds them to that.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

BANDS: tuple[float, ...] = (600.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0, inf)
"""The ages, in seconds, up to which each hazard holds."""


class Pattern(StrEnum):
    """Whose capacity is imitated."""

    AWS = "aws"
    GOOGLE = "google"


@dataclass(frozen=True, slots=True)
class Recorded:
    """Averages of a recorded trace, as `shape_of` measures them: hazards per hour by band of age, shares of 1."""

    lost_per_hour: tuple[float, ...]
    returned_per_hour: tuple[float, ...]
    correlation_inside: float
    correlation_outside: float
    lost_together_inside: float
    lost_together_outside: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the generator is told.

    `lost_per_hour`, `returned_per_hour`: hazards of a middling zone, by band of age. `region_spread`, `zone_spread`:
    how much regions, and zones in one, differ for good (standard deviation of the logarithm of scarcity);
    `relief`: how much of a zone's scarcity shows in coming back late, compared with being lost early.
    `shared_in_region`, `shared_everywhere`: the shares of turns that all zones concerned meet at the same moment.
    `region_mood`, `common_mood`: how much scarcity wanders with time (the same standard deviation).
    """

    lost_per_hour: tuple[float, ...]
    returned_per_hour: tuple[float, ...]
    region_spread: float
    zone_spread: float
    relief: float
    shared_in_region: float
    shared_everywhere: float
    region_mood: float
    common_mood: float
    level: float = 0.0


MOOD_SECONDS = 43_200.0
"""How long scarcity remembers its mood: the time in which the correlation falls to 1/e."""

RECORDED = {
    Pattern.AWS: Recorded(
        lost_per_hour=(1.28, 1.14, 0.77, 0.43, 0.20, 0.10, 0.05),
        returned_per_hour=(1.36, 1.28, 0.50, 0.40, 0.30, 0.19, 0.10),
        correlation_inside=0.43,
        correlation_outside=0.14,
        lost_together_inside=0.32,
        lost_together_outside=0.10,
    ),
    Pattern.GOOGLE: Recorded(
        lost_per_hour=(2.53, 1.16, 0.61, 0.33, 0.13, 0.06, 0.07),
        returned_per_hour=(3.39, 2.10, 0.85, 0.60, 0.19, 0.04, 0.03),
        correlation_inside=0.17,
        correlation_outside=0.05,
        lost_together_inside=0.29,
        lost_together_outside=0.12,
    ),
}

RECIPES = {
    Pattern.AWS: Recipe(
        lost_per_hour=(1.08, 1.07, 0.83, 0.50, 0.26, 0.135, 0.072),
        returned_per_hour=(1.37, 1.46, 0.61, 0.51, 0.42, 0.29, 0.15),
        region_spread=0.55,
        zone_spread=0.35,
        relief=0.5,
        shared_in_region=0.43,
        shared_everywhere=0.03,
        region_mood=0.5,
        common_mood=0.45,
        level=-0.1,
    ),
    Pattern.GOOGLE: Recipe(
        lost_per_hour=(2.23, 1.11, 0.63, 0.355, 0.15, 0.07, 0.095),
        returned_per_hour=(3.50, 2.45, 1.06, 0.81, 0.285, 0.06, 0.047),
        region_spread=0.2,
        zone_spread=0.5,
        relief=1.0,
        shared_in_region=0.5,
        shared_everywhere=0.0,
        region_mood=0.2,
        common_mood=0.25,
    ),
}
