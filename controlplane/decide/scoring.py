"""Which of the offerings that can be tried comes first, as a sum of named terms; the lowest wins.

The weights are tiers: no number of lower terms outweighs a higher one. Turns within one hunt come first, so that
everything gets its turn; then the user's order of accelerators, then the order of capacity types; what is left is
shared by spread, price, the past and the advice API. Holding on to what serves is a term like the others, so that an
explanation shows it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from controlplane.decide.candidates import Candidate

RETRY, RETRIES_MOST = 10_000.0, 90_000.0
ACCELERATOR = 1000.0
CAPACITY = 100.0
SPREAD, SPREAD_MOST = 10.0, 40.0
PRICE = 25.0
STEADINESS = 7.5
FAILURE, FAILURES_MOST = 3.0, 15.0
LOSS = 8.0
ADVICE = 6.0
PREEMPTIONS, USUAL_SHARE = 4.0, 0.25
LOSS_FADES = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class ScoringContext:
    """What scorers may look at: replicas by region, the present instant, and since when replicas are missing."""

    in_region: Mapping[str, int]
    now: datetime
    hunting_since: datetime | None = None


Scorer: TypeAlias = Callable[[ScoringContext, Candidate], float]


def retries(context: ScoringContext, candidate: Candidate) -> float:
    """Go round: nothing that was refused in this hunt comes before what was tried less often in it.

    Without this a long list of preferred offerings that are sold out, each cool again by the time the last of them
    has been asked, would keep a lesser one with stock from ever being tried.
    """
    refused_at = candidate.past.last_refused_at
    if context.hunting_since is None or refused_at is None or refused_at < context.hunting_since:
        return 0.0
    return min(RETRIES_MOST, RETRY * candidate.past.failures)


def accelerator(_context: ScoringContext, candidate: Candidate) -> float:
    """Follow the user's order of accelerators."""
    return ACCELERATOR * candidate.accelerator_rank


def capacity_type(_context: ScoringContext, candidate: Candidate) -> float:
    """Follow the user's order of capacity types."""
    return CAPACITY * candidate.capacity_rank


def spread(context: ScoringContext, candidate: Candidate) -> float:
    """Prefer regions that hold fewer replicas: the zones of one region go down together."""
    held = context.in_region.get(candidate.region, 0)
    return min(SPREAD_MOST, SPREAD * held) if held else 0.0


def price(_context: ScoringContext, candidate: Candidate) -> float:
    """Prefer the cheaper of equals: how much dearer than the cheapest of its kind, up to twice the price."""
    if candidate.price is None or candidate.cheapest is None:
        return PRICE
    if candidate.cheapest <= 0:
        return 0.0 if candidate.price <= 0 else PRICE
    return PRICE * min(1.0, candidate.price / candidate.cheapest - 1)


def failures(_context: ScoringContext, candidate: Candidate) -> float:
    """Try last what failed most often in a row."""
    failed = candidate.past.failures
    return min(FAILURES_MOST, FAILURE * failed) if failed else 0.0


def losses(context: ScoringContext, candidate: Candidate) -> float:
    """Distrust places that lately took GPUs away; the longer ago, the less."""
    lost = candidate.past.last_lost_at
    if lost is None:
        return 0.0
    return LOSS * max(0.0, 1 - max(timedelta(), context.now - lost) / LOSS_FADES)


def advice(_context: ScoringContext, candidate: Candidate) -> float:
    """Follow the capacity advice API among equals; not knowing lies in the middle."""
    known = candidate.advice.obtainability if candidate.advice else None
    obtainability = 0.5 if known is None or not 0 <= known <= 1 else known
    return ADVICE * (1 - obtainability)


def preemptions(_context: ScoringContext, candidate: Candidate) -> float:
    """Prefer where fewer than usual of the machines that stopped were preempted; not knowing is as usual.

    It breaks ties and no more: a share of the ends does not say how long machines ran.
    """
    known = candidate.advice.preemption_rate if candidate.advice else None
    return 0.0 if known is None or not 0 <= known <= 1 else PREEMPTIONS * (known - USUAL_SHARE)


def steadiness(_context: ScoringContext, candidate: Candidate) -> float:
    """Stay with what serves unless the other is better by more than this."""
    return -STEADINESS if candidate.holding is not None and candidate.holding.serving else 0.0


SCORERS: Mapping[str, Scorer] = {
    "retries": retries,
    "accelerator": accelerator,
    "capacity": capacity_type,
    "spread": spread,
    "price": price,
    "failures": failures,
    "losses": losses,
    "advice": advice,
    "preemptions": preemptions,
    "steadiness": steadiness,
}

STANDING: tuple[Scorer, ...] = (accelerator, capacity_type, price)
"""The terms that do not change by themselves. Only these move a service that is whole, so that it cannot flap."""


def terms(context: ScoringContext, candidate: Candidate) -> dict[str, float]:
    """Give every term, by name."""
    return {name: scorer(context, candidate) for name, scorer in SCORERS.items()}


def standing(context: ScoringContext, candidate: Candidate) -> float:
    """Give the part of the score that time alone does not change."""
    return sum(scorer(context, candidate) for scorer in STANDING)
