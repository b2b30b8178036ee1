"""When time alone can change a decision.

Most passes see what the pass before saw and decide nothing. Replaying a month of them costs more than all the others
together; so this says until when the next pass over the same facts would decide nothing again.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from controlplane.decide.failback import HOUR
from controlplane.decide.learning import SPELL, step
from controlplane.decide.lifecycle import UNPROVEN_MARGIN, patience
from controlplane.decide.look import GONE_AFTER
from controlplane.decide.remember import FORGET_AFTER, FORGET_DEPARTED
from controlplane.model.decision import Decision
from controlplane.model.facts import Known
from controlplane.model.memory import Memory, Outcome
from controlplane.model.observation import Observation
from controlplane.model.service import ServiceSpec

TICK = SPELL
"""Terms that change with time without a break are looked at anew at least this often, as hazards and chances are."""


def due_at(
    spec: ServiceSpec, memory: Memory, decision: Decision, observation: Observation, now: datetime
) -> datetime | None:
    """Give the instant at which time alone can first change what `decide` does with the same facts.

    `decision` is what `decide` made at `now` of `memory` and `observation`. None when the very next pass may differ,
    because this one did something or learnt something. The instant is at most `TICK` away, at a whole multiple of it.
    """
    if decision.plan or not _same(memory, decision.memory):
        return None
    tick = step(now) + TICK
    return min((at for at in _instants(spec, memory, observation) if now < at < tick), default=tick)


def _same(before: Memory, after: Memory) -> bool:
    """Tell whether nothing was learnt; the first pass is like no other (S2)."""
    return before.passes > 0 and replace(before, passes=after.passes) == after


def _instants(spec: ServiceSpec, memory: Memory, observation: Observation) -> list[datetime]:
    """Give every instant at which some patience ends, past ones too."""
    timing, in_flight = spec.timing, timedelta(seconds=spec.ingress.draining_seconds)
    found: list[datetime] = [move.at + HOUR for move in memory.moves]

    def after(since: datetime | None, *waits: timedelta) -> None:
        if since is not None:
            found.extend([since + wait for wait in waits])

    still_open = Outcome.OPEN
    for attempt in memory.attempts:
        if attempt.outcome is still_open:
            found.extend((attempt.deadline, attempt.started_at + timing.attempt_deadline / 3))
    for past in memory.offerings.values():
        after(past.not_before, timedelta())
        after(past.last_lost_at, timing.backoff_initial, FORGET_DEPARTED, FORGET_AFTER)
        after(past.last_refused_at, FORGET_DEPARTED, FORGET_AFTER)
        after(past.last_obtained_at, FORGET_DEPARTED, FORGET_AFTER)
    for placement in memory.placements:
        after(placement.since, in_flight + UNPROVEN_MARGIN)
        after(placement.serving_since, timing.stabilisation_window, timing.min_dwell)
        after(placement.unwired_at, patience(spec))
        after(placement.impaired_since, timing.warmup_deadline)
    for fact in (member.workloads for member in observation.members.values()):
        for workload in fact.value if isinstance(fact, Known) else ():
            for pod in workload.pods:
                after(pod.scheduled_at, timing.warmup_deadline)
    for since in memory.unknown_since.values():
        after(since, timing.unreachable_grace, GONE_AFTER)
    after(memory.whole_since, timing.stabilisation_window)
    return found
