"""A verdict for every offering, so that nobody has to guess why the service is where it is.

Of most offerings nothing is known and nothing changes from pass to pass, so their verdicts are made once and kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from controlplane.decide import learning
from controlplane.decide.allocation import Pick
from controlplane.decide.attempts import NOTHING_LEARNT
from controlplane.decide.candidates import Candidate
from controlplane.decide.case import Scales
from controlplane.decide.filters import PERMANENT, Context, Refused, refusals
from controlplane.decide.scoring import ScoringContext, terms
from controlplane.decide.world import NEVER
from controlplane.model.decision import Standing, Verdict
from controlplane.model.offering import Capacity, Offering
from controlplane.model.reasons import Reason

# made once: a name looked up in an Enum costs as much as asking a filter
HUNTS = (Standing.HELD, Reason.ATTEMPT_IN_FLIGHT.value)
HOLDS = (Standing.HELD, Reason.HOLDS_REPLICAS.value)
LOWER = (Standing.RANKED, Reason.LOWER_SCORE.value)
SPOT = Capacity.SPOT
ENOUGH = (Standing.RANKED, Reason.ENOUGH_REPLICAS.value)


@dataclass(frozen=True, slots=True)
class Judgement:
    """All verdicts, and whether anything can be tried now or once patience has done its work."""

    verdicts: tuple[Verdict, ...]
    feasible: bool


def explain(
    context: Context,
    candidates: tuple[Candidate, ...],
    picks: Mapping[str, Pick],
    *,
    missing: bool,
    scales: Scales | None = None,
) -> Judgement:
    """Say of every offering whether it was chosen, is held, ranks lower or is refused, and why.

    `scales`: what the offerings were weighed by; None for the sum of `controlplane.decide.scoring`.
    """
    scales = scales or _Sums(context.scoring)
    odds = _Odds(context)
    stopped = context.spec.paused or context.spec.deleting
    verdicts: list[Verdict] = []
    feasible = False
    for candidate in candidates:
        refused = refusals(context, candidate)
        held = candidate.holding
        pick = picks.get(candidate.key)
        feasible = feasible or held is not None or pick is not None or not _hopeless(refused)
        if pick is None and held is None and (refused or stopped):
            verdicts.append(_refused(context, candidate, refused, odds))
            continue
        standing, reason = _standing(candidate, pick, missing=missing)
        score, message = scales.weigh(candidate)
        if held is not None and refused and not pick:
            message = f"{message}; no more can be asked of it: {refused[0].reason}"
        verdicts.append(
            _verdict(candidate.offering, (standing, reason), (score, message), candidate.price, odds.of(candidate))
        )
    return Judgement(tuple(verdicts), feasible)


class _Sums:
    """Weighs by the sum of the named terms, and tells those that count."""

    def __init__(self, scoring: ScoringContext) -> None:
        self._scoring = scoring

    def weigh(self, candidate: Candidate) -> tuple[float, str]:
        if candidate.past is NOTHING_LEARNT and candidate.advice is None and candidate.holding is None:
            return _plain(candidate, self._scoring.in_region.get(candidate.region, 0))
        return _sum(self._scoring, candidate)


@lru_cache(maxsize=8192)
def _plain(candidate: Candidate, held: int) -> tuple[float, str]:
    """Give the sum of an offering of which nothing is known: time changes nothing about it."""
    return _sum(ScoringContext({candidate.region: held}, NEVER), candidate)


def _sum(scoring: ScoringContext, candidate: Candidate) -> tuple[float, str]:
    score = terms(scoring, candidate)
    text = ", ".join([f"{name} {value:.3g}" for name, value in score.items() if value])
    return round(sum(score.values()), 3), text or "nothing against it"


class _Odds:
    """What is to be expected of an offering: (chance of getting it, losses an hour, what was learnt)."""

    def __init__(self, context: Context) -> None:
        self._now = now = context.now
        self._sold_out = context.blocks.sold_out
        self._chance = round(learning.chance(NOTHING_LEARNT, now), 3)
        self._hazard = round(learning.hazard(NOTHING_LEARNT, now), 4)

    def of(self, candidate: Candidate) -> tuple[float, float, str]:
        """Give the odds. Only Spot is taken away; what is to be had on demand stays."""
        past, advice, now = candidate.past, candidate.advice, self._now
        spot = candidate.offering.capacity is SPOT
        sold_out = self._sold_out.get((candidate.region, candidate.offering.kind)) if self._sold_out else None
        if past is NOTHING_LEARNT and advice is None and sold_out is None:
            return self._chance, self._hazard if spot else 0.0, ""
        hazard = round(learning.hazard(past, now, advice), 4) if spot else 0.0
        return round(learning.chance(past, now, advice, sold_out), 3), hazard, learning.told(past, now, lasts=not spot)


@lru_cache(maxsize=8192)
def _verdict(
    offering: Offering,
    stands: tuple[Standing, str],
    weighed: tuple[float, str],
    price: float | None,
    odds: tuple[float, float, str],
) -> Verdict:
    score, message = weighed
    return Verdict(offering, stands[0], stands[1:], message, score, price, None, *odds)


def _standing(candidate: Candidate, pick: Pick | None, *, missing: bool) -> tuple[Standing, str]:
    if pick is not None:
        return Standing.CHOSEN, pick.reason.value
    held = candidate.holding
    if held is not None:
        return HUNTS if held.scheduled == 0 and held.target > 0 else HOLDS
    return LOWER if missing else ENOUGH


def _refused(context: Context, candidate: Candidate, refused: tuple[Refused, ...], odds: _Odds) -> Verdict:
    reasons = [r.reason.value for r in refused]
    message = "; ".join(r.message for r in refused if r.message)
    if context.spec.deleting:
        reasons, message = [Reason.SERVICE_DELETING.value, *reasons], "the service is being deleted"
    elif context.spec.paused:
        reasons, message = [Reason.SERVICE_PAUSED.value, *reasons], "spec.paused is set"
    waits = [r.until for r in refused if r.until]
    chance, hazard, learnt = odds.of(candidate)
    return Verdict(
        offering=candidate.offering,
        standing=Standing.REFUSED,
        reasons=tuple(reasons),
        message=message[:300],
        price=candidate.price,
        next_try=max(waits) if waits and len(waits) == len(refused) else None,
        chance=None if _hopeless(refused) else chance,
        hazard=None if _hopeless(refused) else hazard,
        learnt=learnt,
    )


def _hopeless(refused: tuple[Refused, ...]) -> bool:
    return any(r.reason in PERMANENT and r.until is None for r in refused)
