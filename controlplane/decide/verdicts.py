"""A verdict for every offering, so that nobody has to guess why the service is where it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from controlplane.decide.allocation import Pick
from controlplane.decide.candidates import Candidate
from controlplane.decide.filters import PERMANENT, Context, Refused, refusals
from controlplane.decide.scoring import terms
from controlplane.model.decision import Standing, Verdict
from controlplane.model.reasons import Reason

# made once: a name looked up in an Enum costs as much as asking a filter
HUNTS = (Standing.HELD, Reason.ATTEMPT_IN_FLIGHT.value)
HOLDS = (Standing.HELD, Reason.HOLDS_REPLICAS.value)
LOWER = (Standing.RANKED, Reason.LOWER_SCORE.value)
ENOUGH = (Standing.RANKED, Reason.ENOUGH_REPLICAS.value)


@dataclass(frozen=True, slots=True)
class Judgement:
    """All verdicts, and whether anything can be tried now or once patience has done its work."""

    verdicts: tuple[Verdict, ...]
    feasible: bool


def explain(
    context: Context, candidates: tuple[Candidate, ...], picks: Mapping[str, Pick], *, missing: bool
) -> Judgement:
    """Say of every offering whether it was chosen, is held, ranks lower or is refused, and why."""
    scoring = context.scoring
    verdicts: list[Verdict] = []
    feasible = False
    for candidate in candidates:
        refused = refusals(context, candidate)
        held = candidate.holding
        pick = picks.get(candidate.key)
        feasible = feasible or held is not None or pick is not None or not _hopeless(refused)
        if pick is None and held is None and (refused or context.spec.paused or context.spec.deleting):
            verdicts.append(_refused(context, candidate, refused))
            continue
        score = terms(scoring, candidate)
        standing, reason = _standing(candidate, pick, missing=missing)
        text = ", ".join([_term(name, value) for name, value in score.items() if value])
        also = f"; no more can be asked of it: {refused[0].reason}" if held is not None and refused and not pick else ""
        verdicts.append(
            Verdict(
                offering=candidate.offering,
                standing=standing,
                reasons=(reason,),
                message=(text or "nothing against it") + also,
                score=round(sum(score.values()), 3),
                price=candidate.price,
            )
        )
    return Judgement(tuple(verdicts), feasible)


@lru_cache(maxsize=4096)
def _term(name: str, value: float) -> str:
    return f"{name} {value:.3g}"


def _standing(candidate: Candidate, pick: Pick | None, *, missing: bool) -> tuple[Standing, str]:
    if pick is not None:
        return Standing.CHOSEN, pick.reason.value
    held = candidate.holding
    if held is not None:
        return HUNTS if held.scheduled == 0 and held.target > 0 else HOLDS
    return LOWER if missing else ENOUGH


def _refused(context: Context, candidate: Candidate, refused: tuple[Refused, ...]) -> Verdict:
    reasons = [r.reason.value for r in refused]
    message = "; ".join(r.message for r in refused if r.message)
    if context.spec.deleting:
        reasons, message = [Reason.SERVICE_DELETING.value, *reasons], "the service is being deleted"
    elif context.spec.paused:
        reasons, message = [Reason.SERVICE_PAUSED.value, *reasons], "spec.paused is set"
    waits = [r.until for r in refused if r.until]
    return Verdict(
        offering=candidate.offering,
        standing=Standing.REFUSED,
        reasons=tuple(reasons),
        message=message[:300],
        price=candidate.price,
        next_try=max(waits) if waits and len(waits) == len(refused) else None,
    )


def _hopeless(refused: tuple[Refused, ...]) -> bool:
    return any(r.reason in PERMANENT and r.until is None for r in refused)
