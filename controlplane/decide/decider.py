"""One decision, from what was seen to what is done: the order of the steps, and nothing else.

Look, judge attempts, advance phases; then hunt for what is missing or give back what is too much; then consider going
back to what is preferred; then wire the address; then plan. The guards screen the plan, and memory is made from what is
left of it, so that nothing is remembered as begun that a guard held back.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from controlplane.decide import autoscaling, moving, ranked, remember, rollout, valued
from controlplane.decide.allocation import Pick, cover, reclaim
from controlplane.decide.attempts import Judged, judge
from controlplane.decide.candidates import blocks, enumerate_all
from controlplane.decide.case import Beside, Case, Scales
from controlplane.decide.conditions import Findings, conditions
from controlplane.decide.expenses import affordable_goal, hourly_cost, price_list, unpriced
from controlplane.decide.failback import Return
from controlplane.decide.lifecycle import advance, expel, note_unhealthy
from controlplane.decide.look import look
from controlplane.decide.planner import plan as make_plan
from controlplane.decide.rollout import Rollout
from controlplane.decide.routing import route
from controlplane.decide.safety import Scene, screen
from controlplane.decide.teardown import take_down
from controlplane.decide.verdicts import explain
from controlplane.decide.world import World
from controlplane.model.decision import (
    Action,
    ApplyPlacement,
    Counts,
    Decision,
    DeletePlacement,
    ScaleDownPlacement,
    Suppressed,
    histogram_of,
)
from controlplane.model.memory import Memory, Move
from controlplane.model.observation import Observation
from controlplane.model.reasons import Reason
from controlplane.model.service import ServiceSpec

LATE = timedelta(minutes=30)
"""After how long a draining is no longer the same move."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan before the guards have seen it, with what was thought on the way."""

    world: World
    actions: tuple[Action, ...]
    picks: dict[str, Pick]
    goal: int
    missing: bool
    feedback: Return = field(default_factory=Return)
    scales: Scales | None = None
    beside: Beside | None = None
    progress: Rollout = field(default_factory=Rollout)
    teardown: str = ""


def decide(spec: ServiceSpec, observation: Observation, memory: Memory, now: datetime) -> Decision:
    """Decide what this pass does for one service. Pure: the same inputs give the same decision."""
    past = remember.sane(spec, memory, now)
    case = _learn(spec, observation, past, now)
    draft = _draft(case)
    scene = Scene(
        spec=spec,
        world=draft.world,
        goal=draft.goal,
        cost=hourly_cost(case.judged.world, case.prices),
        prices=case.prices,
        first_pass=memory.passes == 0,
        fleet_complete=draft.world.fleet_complete,
    )
    actions, suppressed = screen(scene, draft.actions)
    decision = _told(case, draft, actions, suppressed)
    return replace(decision, memory=memory) if spec.paused and not spec.deleting else decision


def _learn(spec: ServiceSpec, observation: Observation, memory: Memory, now: datetime) -> Case:
    judged = judge(spec, observation, memory, moving.face(spec, look(spec, observation, memory, now), memory, now), now)
    world = expel(advance(spec, judged.world, now), now)
    offerings = note_unhealthy(spec, world, judged.offerings, now)
    candidates = enumerate_all(spec, observation, world, offerings)
    return Case(
        spec=spec,
        observation=observation,
        memory=memory,
        now=now,
        judged=Judged(world, judged.attempts, offerings),
        candidates=candidates,
        prices=price_list(candidates),
        blocks=blocks(spec, offerings, now),
    )


def _draft(case: Case) -> Draft:
    spec, world = case.spec, case.judged.world
    if spec.deleting:
        teardown = take_down(case.observation, world)
        return Draft(world, teardown.actions, {}, 0, missing=False, teardown=teardown.waits_for)
    if spec.paused:
        return Draft(world, (), {}, spec.replicas, missing=cover(world) < spec.replicas)
    goal = affordable_goal(spec, world, case.candidates, case.now)
    if cover(world) < goal:
        world = reclaim(world, goal - cover(world))
    settled = valued.settle(case, world, goal) if spec.policy.valued else ranked.settle(case, world, goal)
    world = settled.world
    chosen = {p.candidate.key: p for p in settled.picks}
    actions = make_plan(spec, world, chosen, _rolling(case, world), _wiring(case, world, goal), now=case.now)
    short = goal > cover(world) + sum(p.replicas for p in settled.picks)
    return Draft(
        world=world,
        actions=(
            *actions,
            *autoscaling.scale(case.context(world), case.candidates, case.prices, actions, missing=short),
        ),
        picks=chosen,
        goal=goal,
        missing=settled.missing,
        feedback=settled.feedback,
        scales=settled.scales,
        beside=settled.beside,
        progress=rollout.progress(spec, world, case.judged.offerings, case.now),
    )


def _wiring(case: Case, world: World, goal: int) -> tuple[Action, ...]:
    """Give what is done to the wirings; what ends one comes after everything that adds."""
    may_remove = world.fleet_complete and not world.majority_unknown and case.memory.passes > 0
    first = route(case.spec, world, goal, may_remove=may_remove)
    end = moving.leave(case.spec, world, case.memory, case.now)
    second = None if end else moving.follow(case.spec, world, first, may_remove=may_remove)
    return tuple(action for action in (first, second, end) if action is not None)


def _rolling(case: Case, world: World) -> frozenset[str]:
    if case.blocks.generation:
        return frozenset()  # an API server has refused this very template
    return rollout.to_roll(case.spec, world, case.by_key, case.judged.offerings, case.now)


def _told(case: Case, draft: Draft, actions: tuple[Action, ...], suppressed: tuple[Suppressed, ...]) -> Decision:
    """Put the outcome together: memory, verdicts, conditions, counts."""
    held_back = {s.action.offering for s in suppressed if isinstance(s.action, ApplyPlacement)}
    picks = {k: p for k, p in draft.picks.items() if p.candidate.offering not in held_back}
    judgement = explain(case.context(draft.world), case.candidates, picks, missing=draft.missing, scales=draft.scales)
    counts = _counts(case, draft.world, picks)
    found = Findings(
        spec=case.spec,
        world=draft.world,
        counts=counts,
        histogram=histogram_of(judgement.verdicts),
        offerings=len(judgement.verdicts),
        feedback=draft.feedback,
        suppressed=suppressed,
        rollout=draft.progress,
        teardown=draft.teardown,
        unpriced=unpriced(draft.world, case.prices),
        beside=draft.beside,
    )
    return Decision(
        plan=actions,
        memory=_remembered(case, draft, actions),
        verdicts=judgement.verdicts,
        conditions=conditions(found),
        counts=counts,
        suppressed=suppressed,
        feasible=judgement.feasible or counts.serving >= case.spec.replicas,
        wired_by=draft.world.ingress.kind if draft.world.ingress else None,
        wirings=moving.kinds(case.spec, draft.world),
    )


def _counts(case: Case, world: World, picks: dict[str, Pick]) -> Counts:
    kept = [h for h in world.holdings if h.kept and not h.lost]
    serving = [h for h in world.holdings if h.serving and not h.lost]
    return Counts(
        wanted=case.spec.replicas,
        hunting=sum(h.hunting for h in kept) + sum(p.replicas for p in picks.values()),
        warming=sum(h.warming for h in kept),
        serving=sum(h.serving for h in serving),
        draining=sum(h.scheduled for h in world.holdings if h.draining),
        hourly_cost=round(hourly_cost(world, case.prices, running=True), 6),
        regions=tuple(sorted({h.region for h in serving})),
        accelerators=tuple(sorted({str(h.offering.accelerator) for h in serving})),
    )


def _remembered(case: Case, draft: Draft, actions: tuple[Action, ...]) -> Memory:
    past, now, judged = case.memory, case.now, case.judged
    probes = frozenset(k for k, p in draft.picks.items() if p.reason is Reason.FAILBACK_PROBE)
    started = remember.begun(case.spec, actions, probes, draft.world, now)
    attempts = remember.withdrawn(judged.attempts, draft.world, now)
    keys = frozenset(c.key for c in case.candidates)
    whole = case.whole_since
    content = whole is not None and draft.feedback.pick is None and draft.feedback.obstacle is None
    return replace(
        past,
        passes=past.passes + 1,
        placements=remember.placements(
            past,
            draft.world,
            started,
            judged.offerings,
            now,
            rolling=rollout.rolling(case.spec, draft.world, actions),
            ceilings=remember.ceilings(actions),
        ),
        attempts=remember.ring([*attempts, *started]),
        offerings=remember.known_offerings(judged.offerings, keys, case.spec.generation, now),
        moves=remember.recent_moves(past.moves, _moves(judged.world, draft.world, actions, now), now),
        unknown_since=dict(sorted(draft.world.unknown_since.items())),
        preferred_since=(past.preferred_since or now) if content else None,
        below_target_since=None if whole else (past.below_target_since or now),
        whole_since=whole,
        rewired=moving.remembered(case.spec, draft.world, past, now),
    )


def _moves(before: World, after: World, actions: tuple[Action, ...], now: datetime) -> list[Move]:
    """Take down which regions lose serving replicas by our own action: when draining begins, or on a scale-down.

    A draining that a guard held back for long is taken down once more when it is carried out.
    """
    left = []
    known = {h.key: h for h in before.holdings}
    deleted = {a.offering for a in actions if isinstance(a, DeletePlacement)}
    for holding in after.holdings:
        past = known.get(holding.key)
        begins = holding.draining and past is not None and not past.draining and past.serving > 0
        shrinks = any(
            isinstance(a, (ScaleDownPlacement, DeletePlacement))
            and a.offering == holding.offering
            and not holding.draining
            and past is not None
            and past.serving > holding.target
            for a in actions
        )
        late = past is not None and past.draining and holding.offering in deleted and now - past.since >= LATE
        if begins or shrinks or late:
            left.append(Move(holding.region, now))
    return left
