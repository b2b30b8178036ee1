"""One decision, from what was seen to what is done: the order of the steps, and nothing else.

Look, judge attempts, advance phases; then hunt for what is missing or give back what is too much; then consider going
back to what is preferred; then wire the address; then plan. The guards screen the plan, and memory is made from what is
left of it, so that nothing is remembered as begun that a guard held back.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.decide import remember, rollout
from controlplane.decide.allocation import (
    Pick,
    give_back,
    give_back_impaired,
    give_back_yielding,
    hunt,
    in_region,
    reclaim,
    worst_first,
)
from controlplane.decide.attempts import Judged, judge
from controlplane.decide.candidates import Candidate, blocks, enumerate_all
from controlplane.decide.conditions import Findings, conditions
from controlplane.decide.expenses import affordable_goal, hourly_cost, left_of_cap, price_list, unpriced
from controlplane.decide.failback import Return, consider
from controlplane.decide.filters import Context, refusals
from controlplane.decide.lifecycle import advance, expel, note_unhealthy
from controlplane.decide.planner import plan as make_plan
from controlplane.decide.routing import route
from controlplane.decide.safety import Scene, screen
from controlplane.decide.teardown import take_down
from controlplane.decide.verdicts import Judgement, explain
from controlplane.decide.world import World, look
from controlplane.model.decision import (
    Action,
    Counts,
    Decision,
    DeletePlacement,
    ScaleDownPlacement,
    Standing,
    Suppressed,
)
from controlplane.model.memory import Memory, Move
from controlplane.model.observation import Observation
from controlplane.model.reasons import Reason
from controlplane.model.service import ServiceSpec


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan before the guards have seen it, with what was thought on the way."""

    world: World
    actions: tuple[Action, ...]
    picks: dict[str, Pick]
    goal: int
    missing: bool
    feedback: Return = Return()
    rolling: int = 0
    teardown: str = ""


def decide(spec: ServiceSpec, observation: Observation, memory: Memory, now: datetime) -> Decision:
    """Decide what this pass does for one service. Pure: the same inputs give the same decision."""
    past = remember.sane(spec, memory, now)
    judged = judge(spec, observation, past, look(spec, observation, past, now), now)
    world = expel(advance(spec, judged.world, now), now)
    judged = replace(judged, world=world, offerings=note_unhealthy(spec, world, judged.offerings, now))
    candidates = enumerate_all(spec, observation, world, judged.offerings)
    draft = _draft(spec, observation, past, judged, candidates, now)
    scene = Scene(
        spec=spec,
        world=draft.world,
        goal=draft.goal,
        cost=hourly_cost(judged.world, price_list(candidates)),
        prices=price_list(candidates),
        first_pass=memory.passes == 0,
        fleet_complete=world.fleet_known and not observation.unlisted,
    )
    actions, suppressed = screen(scene, draft.actions)
    return _told(spec, observation, memory, judged, candidates, draft, actions, suppressed, now)


def _draft(
    spec: ServiceSpec,
    observation: Observation,
    memory: Memory,
    judged: Judged,
    candidates: tuple[Candidate, ...],
    now: datetime,
) -> Draft:
    world = judged.world
    if spec.deleting:
        teardown = take_down(observation, world)
        return Draft(world, teardown.actions, {}, 0, missing=False, teardown=teardown.waits_for)
    if spec.paused:
        return Draft(world, (), {}, spec.replicas, missing=_cover(world) < spec.replicas)
    by_key = {c.key: c for c in candidates}
    goal = affordable_goal(spec, world, candidates, now)
    if _cover(world) < goal:
        world = reclaim(world, goal - _cover(world))
    context = _context(spec, observation, judged, world, candidates, now)
    need = goal - _cover(world)
    picks = hunt(context, candidates, need) if need > 0 else ()
    missing = need > sum(p.replicas for p in picks)
    cramped = missing and any(_capped(context, c) for c in candidates)
    world = give_back_impaired(world, goal, cramped=cramped)
    world = give_back(spec, give_back_yielding(world, goal), by_key, goal, now)
    feedback = Return()
    if need <= 0:
        whole_since = _whole_since(spec, memory, judged.world, now)
        quiet = _quiet(spec, world, goal)
        feedback = consider(replace(context, world=world), memory, candidates, whole_since, quiet=quiet)
        picks = (feedback.pick,) if feedback.pick else ()
    rolling = rollout.to_roll(spec, world, by_key, judged.offerings, now)
    chosen = {p.candidate.key: p for p in picks}
    actions = make_plan(spec, world, chosen, rolling, route(spec, world), now)
    behind = len(rollout.outdated(spec, world))
    return Draft(world, actions, chosen, goal, missing=need > 0, feedback=feedback, rolling=behind)


def _cover(world: World) -> int:
    return sum(h.cover for h in world.holdings)


def _context(
    spec: ServiceSpec,
    observation: Observation,
    judged: Judged,
    world: World,
    candidates: tuple[Candidate, ...],
    now: datetime,
) -> Context:
    return Context(
        spec=spec,
        observation=observation,
        world=world,
        blocks=blocks(spec, judged.offerings, now),
        now=now,
        budget=left_of_cap(spec, judged.world, candidates),
        in_region=in_region(world.holdings),
    )


def _capped(context: Context, candidate: Candidate) -> bool:
    return [r.reason for r in refusals(context, candidate)] == [Reason.OVER_COST_CAP]


def _whole_since(spec: ServiceSpec, memory: Memory, world: World, now: datetime) -> datetime | None:
    """Give since when enough replicas serve without a break; what is out of sight counts as long as it counts at all."""
    serving = sum(h.serving for h in world.holdings if h.kept and not h.lost)
    return (memory.whole_since or now) if serving >= spec.replicas else None


def _quiet(spec: ServiceSpec, world: World, goal: int) -> bool:
    """Tell whether nothing is under way that a move would get into the way of."""
    steady = all(
        h.visible and not h.draining and not h.hunting and not h.warming and not h.impaired and h.attempt is None
        for h in world.holdings
    )
    return steady and _cover(world) == goal == spec.replicas and not rollout.outdated(spec, world)


def _told(
    spec: ServiceSpec,
    observation: Observation,
    memory: Memory,
    judged: Judged,
    candidates: tuple[Candidate, ...],
    draft: Draft,
    actions: tuple[Action, ...],
    suppressed: tuple[Suppressed, ...],
    now: datetime,
) -> Decision:
    """Put the outcome together: memory, verdicts, conditions, counts."""
    held = {s.action for s in suppressed}
    picks = {k: p for k, p in draft.picks.items() if not any(_is_of(a, k) for a in held)}
    context = _context(spec, observation, judged, draft.world, candidates, now)
    judgement = explain(context, candidates, picks, missing=draft.missing)
    counts = _counts(spec, draft.world, picks, candidates)
    found = Findings(
        spec=spec,
        world=draft.world,
        counts=counts,
        histogram=_histogram(judgement),
        offerings=len(judgement.verdicts),
        feasible=judgement.feasible,
        feedback=draft.feedback,
        suppressed=suppressed,
        rolling=draft.rolling,
        teardown=draft.teardown,
        unpriced=unpriced(draft.world, price_list(candidates)),
    )
    after = memory if spec.paused else _remembered(spec, memory, judged, candidates, draft, actions, now)
    return Decision(
        plan=actions,
        memory=after,
        verdicts=judgement.verdicts,
        conditions=conditions(found),
        counts=counts,
        suppressed=suppressed,
        feasible=judgement.feasible or counts.serving >= spec.replicas,
    )


def _is_of(action: Action, key: str) -> bool:
    offering = getattr(action, "offering", None)
    return offering is not None and offering.key == key


def _histogram(judgement: Judgement) -> dict[str, int]:
    tally: dict[str, int] = {}
    for verdict in judgement.verdicts:
        if verdict.standing is Standing.REFUSED:
            tally[verdict.reasons[0]] = tally.get(verdict.reasons[0], 0) + 1
    return dict(sorted(tally.items(), key=lambda item: (-item[1], item[0])))


def _counts(spec: ServiceSpec, world: World, picks: dict[str, Pick], candidates: tuple[Candidate, ...]) -> Counts:
    kept = [h for h in world.holdings if h.kept and not h.lost]
    serving = [h for h in world.holdings if h.serving and not h.lost]
    return Counts(
        wanted=spec.replicas,
        hunting=sum(h.hunting for h in kept) + sum(p.replicas for p in picks.values()),
        warming=sum(h.warming for h in kept),
        serving=sum(h.serving for h in serving),
        draining=sum(h.scheduled for h in world.holdings if h.draining),
        hourly_cost=round(hourly_cost(world, price_list(candidates), running=True), 6),
        regions=tuple(sorted({h.region for h in serving})),
        accelerators=tuple(sorted({str(h.offering.accelerator) for h in serving})),
    )


def _remembered(
    spec: ServiceSpec,
    memory: Memory,
    judged: Judged,
    candidates: tuple[Candidate, ...],
    draft: Draft,
    actions: tuple[Action, ...],
    now: datetime,
) -> Memory:
    past = remember.sane(spec, memory, now)
    probes = frozenset(k for k, p in draft.picks.items() if p.failback)
    started = remember.begun(spec, actions, probes, draft.world, now)
    attempts = remember.withdrawn(judged.attempts, draft.world, now)
    whole = _whole_since(spec, past, judged.world, now)
    preferred = worst_first(spec, draft.world.holdings, {c.key: c for c in candidates}, now)
    first = bool(preferred) and draft.feedback.pick is None and draft.feedback.obstacle is None
    return replace(
        past,
        passes=memory.passes + 1,
        placements=remember.placements(past, draft.world, started, judged.offerings, now),
        attempts=remember.ring([*attempts, *started]),
        offerings=remember.known_offerings(
            judged.offerings, frozenset(c.key for c in candidates), spec.generation, now
        ),
        moves=remember.recent_moves([*past.moves, *_moves(judged.world, draft.world, actions, now)], now),
        unknown_since=dict(sorted(draft.world.unknown_since.items())),
        preferred_since=(past.preferred_since or now) if first and whole else None,
        below_target_since=None if whole else (past.below_target_since or now),
        whole_since=whole,
    )


def _moves(before: World, after: World, actions: tuple[Action, ...], now: datetime) -> list[Move]:
    """Take down which regions lose serving replicas by our own action: when draining begins, or on a scale-down."""
    left = []
    for holding in after.holdings:
        past = before.at(holding.key)
        begins = holding.draining and past is not None and not past.draining and past.serving > 0
        shrinks = any(
            isinstance(a, (ScaleDownPlacement, DeletePlacement))
            and a.offering == holding.offering
            and not holding.draining
            and past is not None
            and past.serving > holding.target
            for a in actions
        )
        if begins or shrinks:
            left.append(Move(holding.region, now))
    return left
