"""What the parts cost a month, from the table of prices. Pure: the same table is shown before anything is made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.api.prices import Prices
from controlplane.api.project_prices import ProjectPrices
from controlplane.bootstrap.values import Charge, Part

HOURS_A_MONTH = 730.0
MINUTES_A_MONTH = HOURS_A_MONTH * 60
_NOT_COUNTED = ("build-minute", "idle-address")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@dataclass(frozen=True, slots=True)
class Cost:
    """One line of the table: how many units a month, how many of them are free, and what the rest costs in USD.

    counted: it belongs to the sum; what is charged once, or only as long as another line is not, does not.
    """

    what: str
    units: float
    free: float
    usd: float
    source: str
    counted: bool


def costs(parts: Iterable[Part], prices: ProjectPrices) -> tuple[Cost, ...]:
    """Give the lines of the table; what is free is taken off once, however many parts share it."""
    units: dict[str, float] = {}
    for charge in (charge for part in parts for charge in part.charges):
        hours = HOURS_A_MONTH if prices[charge.key].per == "hour" else 1.0
        units[charge.key] = units.get(charge.key, 0.0) + charge.times * hours
    lines = []
    for key, number in units.items():
        price = prices[key]
        usd = max(0.0, number - price.free) * price.usd
        lines.append(Cost(price.what, number, min(price.free, number), usd, price.source, key not in _NOT_COUNTED))
    return tuple(lines)


def monthly(lines: Iterable[Cost]) -> float:
    """Give USD a month."""
    return sum(line.usd for line in lines if line.counted)


def job_charges(schedule: str, *, vcpus: float, gib: float, least_seconds: float = 60.0) -> tuple[Charge, ...]:
    """Give what the job costs. least_seconds: what an execution is charged for at least."""
    seconds = runs_a_month(schedule) * least_seconds
    return (Charge("job-vcpu-second", seconds * vcpus), Charge("job-gib-second", seconds * gib))


def runs_a_month(schedule: str) -> float:
    """Give how often a cron line of five fields fires in a month, on average.

    Day of the month and day of the week narrow each other here; where both are given, cron fires on either, which is
    more. Names (JAN, MON) count as one value each.
    """
    share = 1.0
    for text, (low, high) in zip(schedule.split(), _RANGES, strict=True):
        last = 6 if high == 7 else high
        share *= min(1.0, _count(text, low, last) / (last - low + 1))
    return share * MINUTES_A_MONTH


def _count(text: str, low: int, high: int) -> int:
    values: set[str] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, dash, end = span.partition("-")
        if span == "*":
            bounds = (low, high)
        elif first.isdigit() and (not dash or end.isdigit()):
            bounds = (int(first), int(end) if dash else (high if step else int(first)))
        else:
            values.add(span)
            continue
        values |= {str(number) for number in range(bounds[0], bounds[1] + 1, int(step) if step.isdigit() else 1)}
    return max(1, len(values))


def gpu_rows(prices: Prices, regions: Sequence[str]) -> tuple[tuple[str, str, str, float], ...]:
    """Give GPU type, region, capacity type and USD an hour, for these regions; those are paid only while a Pod runs."""
    found = [
        (kind, region, str(capacity), usd) for (kind, region, capacity), usd in prices.items() if region in regions
    ]
    return tuple(sorted(found))
