"""Memory between passes: made sane before it is used, kept small when it is written.

Instants from the future would make patience endless after a clock was set back, so they are pulled to the present
before anything is compared with them; numbers that cannot have been learnt are brought back to what can.

It is written into an object of at most some hundred kilobytes, so of a large fleet only what matters most is kept.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from controlplane.decide.candidates import parsed
from controlplane.decide.capacity import MAX_BUDGET, cooling
from controlplane.decide.failback import HOUR
from controlplane.decide.learning import FADING
from controlplane.decide.world import Holding, World
from controlplane.model.decision import Action, ApplyPlacement, StartAutoscaling
from controlplane.model.memory import Attempt, Memory, Move, OfferingMemory, Outcome, Phase, PlacementMemory
from controlplane.model.offering import Offering
from controlplane.model.service import ServiceSpec

EVER = datetime.min.replace(tzinfo=UTC)
MAX_ATTEMPTS = 50
MAX_COOLING = 20
MAX_MOVES = 200
FORGET_AFTER = timedelta(days=3)
FORGET_DEPARTED = timedelta(days=1)
MAX_OFFERINGS = 600
"""Offerings remembered at most: at some 500 bytes each, a third of what an object may weigh."""

MESSAGE_LIMIT = 120
MOST_TRIES = 1 / (1 - FADING)
MOST_LOSSES = 1000.0


def sane(spec: ServiceSpec, memory: Memory, now: datetime) -> Memory:
    """Pull instants that lie in the future back to where they make sense."""
    longest = now + max(spec.timing.backoff_max, spec.timing.backoff_initial)
    offerings = {key: _sane_offering(past, now, longest) for key, past in memory.offerings.items() if parsed(key)}
    return replace(
        memory,
        placements=tuple(_sane_placement(p, now) for p in memory.placements),
        attempts=tuple([_sane_attempt(a, now, now + spec.timing.attempt_deadline) for a in memory.attempts]),
        offerings=offerings,
        moves=tuple(m if m.at <= now else replace(m, at=now) for m in memory.moves),
        unknown_since={link: min(at, now) for link, at in memory.unknown_since.items()},
        preferred_since=_past(memory.preferred_since, now),
        below_target_since=_past(memory.below_target_since, now),
        whole_since=_past(memory.whole_since, now),
        rewired=memory.rewired
        and replace(memory.rewired, at=min(memory.rewired.at, now), proven=_past(memory.rewired.proven, now)),
    )


def _past(instant: datetime | None, now: datetime) -> datetime | None:
    return None if instant is None else min(instant, now)


def _sane_offering(past: OfferingMemory, now: datetime, longest: datetime) -> OfferingMemory:
    told = (past.last_refused_at, past.last_obtained_at, past.last_lost_at, past.up_since, past.held_since)
    sound = 1 <= past.budget <= MAX_BUDGET and past.failures >= 0
    patient = past.not_before is None or past.not_before <= longest
    learnt = 0 <= past.wins <= past.tries <= MOST_TRIES
    suffered = 0 <= past.losses <= MOST_LOSSES and 0 <= past.exposure <= MOST_LOSSES
    if sound and patient and learnt and suffered and all(instant is None or instant <= now for instant in told):
        return past
    tries = _within(past.tries, MOST_TRIES)
    return replace(
        past,
        budget=min(MAX_BUDGET, max(1, past.budget)),
        failures=max(0, past.failures),
        tries=tries,
        wins=_within(past.wins, tries),
        losses=_within(past.losses, MOST_LOSSES),
        exposure=_within(past.exposure, MOST_LOSSES),
        up_since=_past(past.up_since, now),
        held_since=_past(past.held_since, now),
        not_before=None if past.not_before is None else min(past.not_before, longest),
        last_refused_at=_past(past.last_refused_at, now),
        last_obtained_at=_past(past.last_obtained_at, now),
        last_lost_at=_past(past.last_lost_at, now),
    )


def _within(number: float, most: float) -> float:
    """Give a number that lies between 0 and the most there can be; what is no number at all is 0."""
    return 0.0 if math.isnan(number) else min(most, max(0.0, number))


def _sane_placement(placement: PlacementMemory, now: datetime) -> PlacementMemory:
    told = (
        placement.since,
        placement.serving_since,
        placement.unwired_at,
        placement.impaired_since,
        placement.unscaled_at,
    )
    if (
        placement.replicas >= 0
        and placement.obtained >= 0
        and placement.ceiling >= 0
        and all(instant is None or instant <= now for instant in told)
    ):
        return placement
    return replace(
        placement,
        since=min(placement.since, now),
        replicas=max(0, placement.replicas),
        obtained=max(0, placement.obtained),
        ceiling=max(0, placement.ceiling),
        serving_since=_past(placement.serving_since, now),
        unwired_at=_past(placement.unwired_at, now),
        impaired_since=_past(placement.impaired_since, now),
        unscaled_at=_past(placement.unscaled_at, now),
    )


def _sane_attempt(attempt: Attempt, now: datetime, latest: datetime) -> Attempt:
    if attempt.started_at <= now and attempt.deadline <= latest:
        return attempt
    return replace(attempt, started_at=min(attempt.started_at, now), deadline=min(attempt.deadline, latest))


def begun(
    spec: ServiceSpec, plan: Iterable[Action], probes: frozenset[str], world: World, now: datetime
) -> list[Attempt]:
    """Give the attempts that the plan begins; what is only sent again is on record already."""
    found = []
    for action in plan:
        if not isinstance(action, ApplyPlacement) or action.adds <= 0:
            continue
        holding = world.at(action.offering.key)
        if holding is None or holding.attempt is None:
            deadline = now + spec.timing.attempt_deadline
            probe = action.offering.key in probes
            found.append(Attempt(action.offering, now, deadline, action.adds, failback=probe))
    return found


def withdrawn(attempts: Iterable[Attempt], world: World, now: datetime) -> list[Attempt]:
    """End the attempts that this pass gave up."""
    still_open, standing = Outcome.OPEN, {h.offering for h in world.holdings if h.attempt is not None}
    return [
        replace(a, outcome=Outcome.WITHDRAWN, ended_at=now, message="not needed any more")
        if a.outcome is still_open and a.offering not in standing
        else a
        for a in attempts
    ]


def placements(
    memory: Memory,
    world: World,
    started: Iterable[Attempt],
    offerings: Mapping[str, OfferingMemory],
    now: datetime,
    *,
    rolling: frozenset[str] = frozenset(),
    ceilings: Mapping[Offering, int] = MappingProxyType({}),
) -> tuple[PlacementMemory, ...]:
    """Give the placements as they are meant to be after this pass, and the lately refused ones as Cooling.

    rolling: the keys of those that have been given another template and not proven it.
    ceilings: how far autoscalers may go that this pass makes or changes.
    """
    more = {a.offering: a.replicas for a in started}
    found = {
        h.offering: _placement(
            h, more.get(h.offering, 0), rolling=h.key in rolling, ceiling=ceilings.get(h.offering, 0)
        )
        for h in world.holdings
        if _lives(h, more)
    }
    for offering, replicas in more.items():
        found.setdefault(offering, PlacementMemory(offering, Phase.HUNTING, now, replicas))
    cool: list[PlacementMemory] = []
    for past in memory.placements:
        learnt = offerings.get(past.offering.key)
        if past.offering in found or learnt is None or not cooling(learnt, now):
            continue
        since = past.since if past.phase is Phase.COOLING else now
        reason = learnt.last_refusal.value if learnt.last_refusal else ""
        cool.append(PlacementMemory(past.offering, Phase.COOLING, since, 0, reason=reason))
    newest = sorted(cool, key=lambda p: (-p.since.timestamp(), p.offering.key))[:MAX_COOLING]
    return tuple(sorted([*found.values(), *newest], key=lambda p: p.offering.order))


def _lives(holding: Holding, more: Mapping[Offering, int]) -> bool:
    return holding.workload is not None or holding.target > 0 or holding.offering in more


def ceilings(plan: Iterable[Action]) -> dict[Offering, int]:
    """Give how far autoscalers may go that the plan makes or changes, by offering."""
    scaled = [a for a in plan if isinstance(a, (ApplyPlacement, StartAutoscaling))]
    return {a.offering: a.autoscaled.maximum for a in scaled if a.autoscaled is not None}


def _placement(holding: Holding, more: int, *, rolling: bool, ceiling: int) -> PlacementMemory:
    """Remember what may stand there, not what is meant to: a removal is believed when it is seen.

    What is given up altogether is remembered as draining, so that it costs but covers nothing if its cluster goes dark.
    """
    given_up = holding.draining or holding.target + more <= 0
    standing = holding.workload.replicas if holding.workload else 0
    return PlacementMemory(
        offering=holding.offering,
        phase=Phase.DRAINING if given_up else holding.phase,
        since=holding.since,
        replicas=max(holding.target + more, standing),
        serving_since=holding.serving_since,
        unwired_at=holding.unwired_at,
        impaired_since=holding.impaired_since,
        reason=holding.reason,
        obtained=holding.scheduled,
        rolling=rolling,
        ceiling=max(holding.ceiling, ceiling),
        unscaled=holding.unscaled,
        unscaled_at=holding.unscaled_at,
    )


def ring(attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """Keep every open attempt and the latest of the others."""
    everything, still_open = list(attempts), Outcome.OPEN
    ended = [a for a in everything if a.outcome is not still_open]
    room = max(0, MAX_ATTEMPTS - (len(everything) - len(ended)))
    dropped = set(map(id, ended[: max(0, len(ended) - room)]))
    return tuple(a for a in everything if id(a) not in dropped)


def known_offerings(
    offerings: Mapping[str, OfferingMemory], keys: frozenset[str], generation: int, now: datetime
) -> dict[str, OfferingMemory]:
    """Forget what was learnt long ago, sooner where the offering has left the fleet, and what there is no room for.

    What blocks, cools or is held goes before all else, then what was learnt last.
    """

    def binding(past: OfferingMemory) -> bool:
        return past.blocked_generation == generation or past.held_since is not None

    def matters(key: str, past: OfferingMemory) -> bool:
        latest = _latest(past)
        if binding(past):
            return True
        return latest is not None and now - latest < (FORGET_AFTER if key in keys else FORGET_DEPARTED)

    kept = [(key, _brief(past)) for key, past in sorted(offerings.items()) if matters(key, past)]
    if len(kept) > MAX_OFFERINGS:
        weight = {key: (binding(past) or cooling(past, now), _latest(past) or EVER) for key, past in kept}
        kept = sorted(sorted(kept, key=lambda item: weight[item[0]], reverse=True)[:MAX_OFFERINGS])
    return dict(kept)


def _latest(past: OfferingMemory) -> datetime | None:
    return max((i for i in (past.last_refused_at, past.last_obtained_at, past.last_lost_at) if i), default=None)


def _brief(past: OfferingMemory) -> OfferingMemory:
    message = past.last_message
    return past if len(message) <= MESSAGE_LIMIT else replace(past, last_message=f"{message[: MESSAGE_LIMIT - 1]}…")


def recent_moves(moves: tuple[Move, ...], more: list[Move], now: datetime) -> tuple[Move, ...]:
    """Add moves, and drop old ones only then: forgetting alone is no reason to write the status."""
    if not more:
        return moves
    return (*(m for m in moves if now - m.at < HOUR), *more)[-MAX_MOVES:]
